"""The manual as its tests see it: README and the pages in docs/, by name, and the commands in them."""

from __future__ import annotations

import re
import shlex

from tests.support.source_tree import ROOT, committed

PAGES = {
    path.as_posix(): (ROOT / path).read_text(encoding="utf-8")
    for path in committed()
    if path.as_posix() == "README.md" or (path.parts[0] == "docs" and path.suffix == ".md")
}
"""Path -> text, README and every committed page."""

README = PAGES["README.md"]
MANUAL = "\n\n".join(PAGES.values())
"""All of it, for what has to be said somewhere."""


def blocks(text: str, language: str) -> list[str]:
    """Fenced blocks of a language; the empty string for those without."""
    found = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [block for name, block in found if name == language]


def fenced(text: str) -> list[str]:
    """Lines of the bash blocks."""
    return [line.strip() for block in blocks(text, "bash") for line in block.splitlines()]


def section(page: str, title: str) -> str:
    """What stands under a heading of the second level."""
    return PAGES[page].partition(f"## {title}\n")[2].partition("\n## ")[0]


def words_of(line: str) -> list[str]:
    """What the command line gets: the words after `ltrec` or `torchrun ... -m ltrec`."""
    words = shlex.split(line)
    return words[words.index("ltrec") + 1 :]


def anchors(text: str) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    titles = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title).strip().lower().replace(" ", "-") for title in titles}
