"""Runs of events copied whole: Arrow's take of binary values moves a row's bytes at once, several times as fast as an index of
every event (`ragged`) and without one. Values are reinterpreted, never converted, so any fixed-width column will do.

Runs may lie anywhere: Arrow is given the borders of all of them, from beginning to end and on to the next beginning, and takes
every second value. The others are never looked at, and the next run may as well begin before this one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ltrec.core.ragged import I64
from ltrec.data.stream.reading.rows import Values


class Runs:
    """The runs starts[i]:ends[i] of flat arrays of `entries` entries; [n] of both, in any order; they may overlap."""

    def __init__(self, starts: I64, ends: I64, entries: int) -> None:
        self._count, self._entries = starts.size, int(ends.sum() - starts.sum())
        self._whole = slice(int(starts[0]), int(ends[-1])) if starts.size else slice(0, 0)
        self._is_one = bool((starts[1:] == ends[:-1]).all())
        self._borders = np.zeros(0 if self._is_one else 2 * starts.size + 2, np.int64)
        if not self._is_one:
            self._borders[1:-1:2], self._borders[2::2] = starts, ends
            # Arrow reserves memory by the mean length of all values, those between runs included.
            self._borders[-1] = min(2 * self._entries, entries - 1)
            self._chosen = pa.array(np.arange(1, 2 * starts.size, 2))
        self._binary: dict[int, pa.Buffer] = {}  # borders in bytes, by the width of an entry

    def of(self, values: Values, shift: int = 0) -> Values:
        """The entries of these runs, one run after the other, or (`shift` 1) those after them; a view if runs are neighbours."""
        if self._is_one:
            return values[self._whole.start + shift : self._whole.stop + shift]
        size = math.prod(values.shape[1:])
        width = values.dtype.itemsize * size
        if width not in self._binary:
            self._binary[width] = pa.py_buffer(self._borders * width)
        data = pa.py_buffer(np.ascontiguousarray(values[shift:]))
        binary = pa.Array.from_buffers(pa.large_binary(), 2 * self._count + 1, [None, self._binary[width], data])
        taken = pc.take(binary, self._chosen, boundscheck=False).buffers()[2]
        found: Values = np.frombuffer(b"" if taken is None else taken, values.dtype, self._entries * size)
        return found.reshape(self._entries, *values.shape[1:])

    def of_each(self, arrays: Mapping[str, Values]) -> dict[str, Values]:
        """The same of every array."""
        return {name: self.of(values) for name, values in arrays.items()}
