"""benchmarks/content on a tiny log with item columns: both methods choose for themselves, and the page is written."""

import json
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks.content import __main__ as content
from benchmarks.content import tables
from ltrec.data.fetch import SyntheticConfig, fetch_synthetic

SMALL = ["stream.batch_rows=48", "stream.max_len=12", "model.width=16", "trainer.max_epochs=1", "trainer.patience=0"]
HEADINGS = ("Columns in the trunk", "Columns in the memory", "Columns in both", "Settings tried")


def make_log(folder):
    """A log with the tables of conf/data/toys.yaml; some items are new."""
    fetch_synthetic(SyntheticConfig(users=150, items=80, columns="informative", new_items=20), folder)
    items = pq.read_table(folder / "items.parquet")
    attributes = pa.array([[int(word[1:]), 90] for word in items["category"].to_pylist()], pa.list_(pa.int32()))
    pq.write_table(pa.table({"item_id": items["item_id"], "attributes": attributes}), folder / "items.parquet")


@pytest.mark.slow  # a dozen processes
@pytest.mark.timeout(900)
@pytest.mark.parametrize("model", tables.MODELS)
def test_from_a_log_to_the_page(tmp_path, monkeypatch, model):
    """Prepared, tuned, ranked; and repeated, which does nothing."""
    make_log(tmp_path / "toys")
    two = dict(list(tables.MODELS[model].items())[:2])
    monkeypatch.setitem(tables.MODELS, model, two)
    words = [
        "--logs",
        tmp_path,
        "--out",
        tmp_path,
        "--results",
        tmp_path / "results",
        "--log",
        "toys",
        "--models",
        model,
        "--seeds",
        "0",
        "--set",
        *SMALL,
    ]
    monkeypatch.setattr(sys, "argv", ["content", *map(str, words)])
    assert content.main() == 0
    path = tmp_path / "results" / f"facts-toys-{model}.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    trained, ranked = ([line for line in lines if line["phase"] == phase] for phase in ("trained", "ranked"))
    assert {(line["method"], line["setting"]) for line in trained} == {(m, s) for m in tables.METHODS for s in two}
    assert {(line["method"], line["variant"]) for line in ranked} == {(m, v) for m in tables.METHODS for v in tables.variants(m)}
    assert {line["chosen"]["share"] for line in ranked if line["variant"] == "mix-content"} <= {0.0, 0.1}
    page = (tmp_path / "results" / "content.md").read_text()
    assert all(f"## {heading}" in page for heading in (*HEADINGS, f"toys, {model}"))
    for label in ("new items", "head items (", "target within one link of the history"):
        assert f"| {label}" in page
    assert content.main() == 0
    assert path.read_text().splitlines() == [json.dumps(line) for line in lines]
