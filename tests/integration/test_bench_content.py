"""benchmarks/content on a tiny data set with columns: both methods choose for themselves, and the page is written."""

import json
import sys

import pytest

from benchmarks.content import __main__ as content
from benchmarks.content import tables
from tests.support.inputs import column_data

SMALL = ["stream.batch_rows=48", "stream.max_len=12", "model.width=16", "trainer.max_epochs=1", "trainer.patience=0"]


@pytest.mark.slow  # a dozen processes
@pytest.mark.timeout(900)
def test_from_columns_to_the_page(tmp_path, monkeypatch):
    """Prepared by hand (item 31 is new); then tuned, ranked, and repeated, which does nothing."""
    monkeypatch.setattr(tables, "SASREC", {name: tables.SASREC[name] for name in ("narrow", "light")})
    monkeypatch.setattr(content, "prepare_log", lambda log, logs, out: column_data(out / "data" / log, num_items=31))
    words = [
        "--logs",
        tmp_path,
        "--out",
        tmp_path,
        "--results",
        tmp_path / "results",
        "--log",
        "toys",
        "--seeds",
        "0",
        "--set",
        *SMALL,
    ]
    monkeypatch.setattr(sys, "argv", ["content", *map(str, words)])
    assert content.main() == 0
    path = tmp_path / "results" / "facts-toys-sasrec.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    trained, ranked = ([line for line in lines if line["phase"] == phase] for phase in ("trained", "ranked"))
    assert {(line["method"], line["setting"]) for line in trained} == {(m, s) for m in tables.METHODS for s in tables.SASREC}
    assert {(line["method"], line["variant"]) for line in ranked} == {(m, v) for m in tables.METHODS for v in tables.variants(m)}
    assert {line["chosen"]["share"] for line in ranked if line["variant"] == "mix-content"} <= {0.0, 0.1}
    page = (tmp_path / "results" / "content.md").read_text()
    for heading in (
        "## Columns in the trunk",
        "## Columns in the memory",
        "## Columns in both",
        "## toys, sasrec",
        "## Settings tried",
    ):
        assert heading in page
    assert "| head items (" in page
    assert content.main() == 0
    assert path.read_text().splitlines() == [json.dumps(line) for line in lines]
