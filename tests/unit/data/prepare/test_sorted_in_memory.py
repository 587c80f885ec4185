"""Few events are sorted in memory: in the order, and to the bytes, of an external sort."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from ltrec.data.prepare.config import PrepareConfig
from ltrec.data.prepare.engines import duck
from ltrec.data.prepare.pipeline import prepare
from ltrec.data.prepare.sorting.in_memory import sorted_events
from tests.support.logs import write_csv

NAMES = ("place", "seconds", "sub_second", "tie")


def events(rows, places, last):
    draw = np.random.default_rng(rows)
    found = {
        "place": draw.integers(0, places, rows).astype(np.uint32),
        "code": draw.integers(0, 50, rows).astype(np.int32),
        "seconds": draw.integers(-5, last, rows),
        "sub_second": draw.integers(0, 3, rows),
        "tie": draw.permutation(rows) - rows // 2,
        "event.kind": np.arange(rows, dtype=np.int32),
    }
    return pa.table(found)


@pytest.mark.parametrize(
    ("rows", "places", "last"),
    [(1, 1, 0), (400, 3, 4), (400, 400, 10**9), (400, 1 << 32, 1 << 62)],
    ids=["one", "many ties", "plain", "too wide for one number"],
)
def test_the_order_is_place_time_and_tie(rows, places, last):
    log = events(rows, places, last)
    found = sorted_events(log)
    expected = log.sort_by([(name, "ascending") for name in NAMES]).drop_columns(["sub_second", "tie"])
    assert found.equals(expected)


def test_seconds_of_four_bytes_become_whole_numbers_of_eight():
    log = events(9, 2, 5)
    small = log.set_column(2, "seconds", pa.array(log["seconds"].to_numpy() + (1 << 32) - 9, pa.uint32()))
    assert sorted_events(small)["seconds"].type == pa.int64()
    assert sorted_events(small)["code"].equals(sorted_events(log)["code"])


@pytest.mark.parametrize("step", [1, 0.25], ids=["whole seconds", "fractions"])
def test_both_sorts_write_the_same_data_set(tmp_path, monkeypatch, step):
    draw = np.random.default_rng(7)
    rows = [(f"u{u}", f"i{i}", 1_400_000_000 + t * step) for u, i, t in draw.integers(0, (40, 30, 60), (900, 3)).tolist()]
    source = write_csv(tmp_path / "log.csv", rows)
    found, sorts = [], []
    external = duck.DuckEngine._sorted_files
    monkeypatch.setattr(duck.DuckEngine, "_sorted_files", lambda *given: sorts.append("external") or external(*given))
    for most in (len(rows), 0):
        monkeypatch.setattr(duck, "MOST_IN_MEMORY", most)
        sorts.append(most)
        found.append(prepare(PrepareConfig(name="x", sources=(str(source),), block_rows=7), tmp_path / f"out-{most}"))
    assert sorts == [len(rows), 0, "external"]
    assert found[0].digest == found[1].digest and found[0].shards == found[1].shards
    assert found[0].summary["ties"]["events"] > 100
