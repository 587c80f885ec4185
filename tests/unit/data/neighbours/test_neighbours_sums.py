"""Sums of pairs: exact, in any order, with as little memory as one likes."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltrec.data.neighbours import sums as module
from ltrec.data.neighbours.sums import PairSums
from tests.support.shards import User, write_dataset
from tests.support.source_tree import ROOT

V = 6
pairs_ = st.lists(st.tuples(st.integers(1, V), st.integers(1, V), st.integers(1, 1 << 56)), max_size=60)


def counted(sums) -> list[tuple[int, int, int]]:
    """All portions, whose items are whole and rise from portion to portion."""
    found, last = [], 0
    for portion in sums.portions():
        rows = list(zip(*(column.tolist() for column in portion), strict=True))
        assert not rows or rows[0][0] > last
        last = rows[-1][0] if rows else last
        found += rows
    return found


@given(pairs=pairs_, rows=st.integers(1, 70), step=st.integers(1, 9), most=st.sampled_from([2, 3, 128]))
def test_it_adds_whatever_is_held_in_memory(pairs, rows, step, most):
    expected: Counter[tuple[int, int]] = Counter()
    for item, neighbour, weight in pairs:
        expected[item, neighbour] += weight
    with pytest.MonkeyPatch.context() as patch, PairSums(V, None, rows) as sums:
        patch.setattr(module, "MOST_RUNS", most)
        for first in range(0, len(pairs), step):
            sums.add(*np.array(pairs[first : first + step], np.int64).reshape(-1, 3).T)
        assert len(sums.run_bytes) < most
        assert counted(sums) == [(*pair, total) for pair, total in sorted(expected.items())]


def test_runs_are_spilled_only_when_sums_are_too_many(tmp_path):
    with PairSums(1000, tmp_path, rows=10) as few, PairSums(1000, tmp_path, rows=10) as many:
        for n in range(1, 101):
            few.add(*np.full((3, 1), 1))
            many.add(*np.array([[n], [1], [1]]))
        assert (few.run_bytes, counted(few)) == ([], [(1, 1, 100)])
        assert len(many.run_bytes) > 5
        assert counted(many) == [(n, 1, 1) for n in range(1, 101)]
        assert list(tmp_path.iterdir()) == [], "runs have no name, so nothing is left of them"


def test_a_pair_takes_no_more_room_on_disk_than_in_memory(tmp_path):
    draw = np.random.default_rng(0)
    with PairSums(10**7, tmp_path, rows=1 << 15) as sums:
        for _ in range(4):
            sums.add(*draw.integers(1, 10**7, (2, 1 << 15)), draw.integers(1, 1 << 40, 1 << 15))
        assert len(sums.run_bytes) == 4
        assert sum(sums.run_bytes) < 16 * (4 << 15)


def test_a_full_disk_passes_through(tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module.tempfile, "TemporaryFile", full)
    with PairSums(9, tmp_path, rows=1) as sums, pytest.raises(OSError, match="No space left"):
        sums.add(*np.ones((3, 1), np.int64))


BIG = """
import sys
from pathlib import Path
from ltrec.data.manifest import Manifest
from ltrec.data.neighbours.count import count_neighbours

def peak():
    return 1024 * int(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))

folder, rows = Path(sys.argv[1]), int(sys.argv[2])
manifest = Manifest.load(folder)
before = peak()
print(count_neighbours(folder, manifest, rows=rows).digest, peak() - before)
"""


@pytest.mark.slow
def test_memory_is_what_the_formula_says(tmp_path):
    """A Zipf log of 200,000 items whose 5 million pairs would take 360 MB at once; each peak is of a process of its own."""
    num_items, rows, draw = 200_000, 1 << 17, np.random.default_rng(0)
    items = np.minimum(num_items ** draw.random((14_000, 20)), num_items).astype(int)
    users = [User(f"u{n}", row, 0, 18, 18, 19) for n, row in enumerate(items.tolist())]
    write_dataset(tmp_path, users, num_items=num_items, block_rows=1000, shard_rows=7000)
    results, vectors, collected = 8 * 20 * num_items, 32 * num_items, 72 * rows
    found = [
        subprocess.run([sys.executable, "-c", BIG, tmp_path, str(n)], capture_output=True, text=True, cwd=ROOT, check=True).stdout
        for n in (rows, 1 << 30)
    ]
    (digest, bounded), (same, unbounded) = (line.split() for line in found)
    assert digest == same
    assert int(bounded) < results + vectors + collected + (96 << 20) < int(unbounded)
