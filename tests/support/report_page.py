"""Reading the report as a browser would: tags, attributes, text."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

from ltrec.evaluation.config import EvaluationConfig

CONFIG = EvaluationConfig(bootstrap_samples=200)
"""Few resamples: the words are tested, not the intervals."""
VOID = {"meta", "img", "source", "br", "link", "hr", "input"}


class Reader(HTMLParser):
    """Collects tags and text, and checks that every tag is closed in order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1:] != ["style"]:
            self.text += data

    def attributes(self, tag):
        return [attrs for name, attrs in self.tags if name == tag]


def read(index: Path) -> Reader:
    return Reader(index.read_text(encoding="utf-8"))


def squeezed(text: str) -> str:
    return " ".join(text.split())
