"""Runs of different lengths end to end in one array: where each begins, and how to gather any of them without a loop over runs.

`ragged(starts, lengths)` lists the positions start, start+1, ... of every run, one run after the other; indexing with it gathers
any selection of runs at once (one repeat, one arange).
"""

from __future__ import annotations

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
