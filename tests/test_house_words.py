"""The field's words: no private dialect in code, manual and configs, one class for each name, a glossary that has them all.

Whoever is stopped here finds the word to use beside the one that is not (docs/glossary.md explains them).
"""

import ast
import re
from collections import Counter
from functools import cache

import pytest

from tests.support.source_tree import ROOT, committed, parsed, python_files

BANNED = {
    "stop request": r"\bheed\w*|\bWISHES\b|\bwish(es|ed)?\b",
    "logger": r"\bguests? of training\b",
    "non-finite": r"\bnumbers? that (is|are) none\b|\b(weights?|gradients?|what|that) (is|are|was) no numbers?\b|meet_nonfinite",
    "unseen user": r"\bstrangers\b",
    "compute gradients": r"\bform(s|ed|ing)? ((the|their|its|no|any|a|every|per-stratum) )?gradients?\b|MODES_OF_FORMING",
    "a model with plugins": r"\b[Pp]lugged\b|\bParted\b",
    "accumulation": r"\baccumulation windows?\b|\bwhole windows?\b|\bwindow_targets\w*",
    "shuffle, distribute": r"\bdeal(s|t|ing)? (out|into)\b",
    "stratum_map": r"\bbecame_\w+|\bbecame:",
    "resume, restore": r"\b(take|Take)(s|n)? (it|them) up\b|\btake_up\b|\bgo(es|ne|ing)? on from\b",
    "with a note": r"\b[Aa]loud\b",
    "override, argument": r"key=value`? words?\b|\bread_words\b|\bof old\b",
    "value, category, vocabulary": r"\b[Ww]ords? (of (a )?categorical|(to|get|that have) (an )?(id|code)s?\b)",
    "invalid, missing": r"\bthat (is|are) none\b",
    "option": r"\bWhat (a|the) user (may say|said|asked)\b",
    "requested, configured": r"\basked for\b|\bsomebody asks\b|\bnobody asks\b",
    "ascending, descending": r"\brising id|, rising[;.,]|\bfalling (count|length|rate)\b",
    "predict": r"\bforetell\w*|\bforetold\b",
    "so that ... not": r"\blest\b|\bwhence\b|\bthereof\b|\bnought\b",
}
"""The word to use -> what stands for it in private dialect."""

ALLOWED: dict[str, set[str]] = {"ltrec/launch/slurm/script.py": {"requested, configured"}}  # marks in job scripts of users
"""Files that still have some of them, and which. Nothing may be added; take out what you have cleaned."""

LOCAL_NAMES = re.compile("_")
"""Private names may repeat: nobody meets them outside their file."""


PAGES = ("README.md", "CONTRIBUTING.md", "SECURITY.md")


@cache
def lines():
    """(path, line number, line) of everything that people read: product, measurements, manual and configs, not results."""
    manual = [p for p in committed() if p.name in PAGES or (p.suffix in (".md", ".yaml") and p.parts[0] in ("docs", "conf"))]
    paths = [*python_files("ltrec", "benchmarks", "examples", "docs"), *manual]
    return [(str(path), n, line) for path in paths for n, line in enumerate((ROOT / path).read_text().splitlines(), 1)]


@pytest.mark.parametrize("word", BANNED)
def test_the_fields_words_are_used(word):
    pattern = re.compile(BANNED[word])
    found = [
        f"{path}:{n} {line.strip()}" for path, n, line in lines() if pattern.search(line) and word not in ALLOWED.get(path, ())
    ]
    assert found == [], f"say {word!r}"


def test_a_shard_is_a_parquet_file():
    """What ranks hold of parameters, gradients and optimiser states are partitions."""
    rooms = ("distributed", "strategy", "optim", "training")
    found = [f"{path}:{n} {line.strip()}" for path, n, line in lines() if path.startswith("ltrec/") and path.split("/")[1] in rooms]
    assert [line for line in found if re.search(r"\b[Ss]hards?\b", line)] == []


def test_the_list_of_exceptions_only_shrinks():
    texts = {path: (ROOT / path).read_text() for path in ALLOWED}
    clean = {path: {word for word in words if not re.search(BANNED[word], texts[path])} for path, words in ALLOWED.items()}
    assert {path: words for path, words in clean.items() if words} == {}, "they are clean: take them out of ALLOWED"


def test_no_two_classes_share_a_name():
    """A reader who meets a name must not ask which one is meant."""
    names = Counter(
        node.name
        for path in python_files("ltrec")
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.ClassDef) and not LOCAL_NAMES.match(node.name)
    )
    assert {name: count for name, count in names.items() if count > 1} == {}


def test_the_glossary_has_every_word_of_this_table():
    glossary = (ROOT / "docs" / "glossary.md").read_text()
    for word in ("stop request", "non-finite", "unseen users", "stratum map", "accumulation", "plugin", "held-out users", "draw"):
        assert f"**{word}**" in glossary, word
