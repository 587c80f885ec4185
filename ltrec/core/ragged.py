"""Runs of different lengths end to end in one array: where each begins, and how to gather any of them without a loop over runs.

`ragged(starts, lengths)` lists the positions start, start+1, ... of every run, one run after the other; indexing with it gathers
any selection of runs at once (one repeat, one arange).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

I64 = npt.NDArray[np.int64]


def prefix_sums(counts: I64) -> I64:
    """Exclusive running sums and the total: one longer than `counts`."""
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)])


def ragged(starts: I64, lengths: I64) -> I64:
    """Positions of runs: for every i the numbers starts[i], ..., starts[i] + lengths[i] - 1."""
    ends = np.cumsum(lengths)
    return np.repeat(starts - ends + lengths, lengths) + np.arange(ends[-1] if ends.size else 0)


def ranges_of_at_most(before: I64, most: int) -> Iterator[tuple[int, int]]:
    """Consecutive ranges low, high of runs that together have at most so many positions; a longer run is a range of its own.

    Args:
        before: positions before each run, and the total (`prefix_sums`).
        most: positions of a range.
    """
    low, runs = 0, before.size - 1
    while low < runs:
        high = int(np.searchsorted(before, before[low] + most, side="right")) - 1
        high = min(max(high, low + 1), runs)
        yield low, high
        low = high


def distinct_pairs(run: I64, value: I64) -> tuple[I64, I64]:
    """Every value of a run once: [P] of both, by run, then value."""
    order = np.lexsort((value, run))
    run, value = run[order], value[order]
    new = np.ones(run.size, bool)
    new[1:] = (run[1:] != run[:-1]) | (value[1:] != value[:-1])
    return run[new], value[new]
