"""Vectors of a table, in a file in the order of its rows: read row by row in any order, and never held in memory as a whole."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Vectors = npt.NDArray[np.float32]


class VectorFile:
    """The vectors of one column.

    Args:
        path: the caller removes the file.
        width: of every vector.
    """

    def __init__(self, path: Path, width: int) -> None:
        self._path, self._width = path, width
        path.touch()

    def append(self, column: pa.Array) -> None:
        """Append vectors of the next rows; null becomes zeros."""
        rows = np.zeros((len(column), self._width), np.float32)
        there = column.is_valid().to_numpy(zero_copy_only=False)
        rows[there] = pc.list_flatten(column.drop_null()).to_numpy().reshape(-1, self._width)
        with open(self._path, "ab") as file:
            file.write(rows.tobytes())

    def read(self, row_N: npt.NDArray[np.int64]) -> Vectors:
        """Vectors of the given rows [N, width]; zeros for negative row numbers."""
        found, size = np.zeros((len(row_N), self._width), np.float32), 4 * self._width
        handle = os.open(self._path, os.O_RDONLY)
        try:
            for place in np.flatnonzero(row_N >= 0).tolist():
                os.preadv(handle, [memoryview(found[place])], int(row_N[place]) * size)
        finally:
            os.close(handle)
        return found
