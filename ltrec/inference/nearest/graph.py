"""The graph of item vectors, by usearch. Nothing else in ltrec knows the library.

The search is by inner product. With `i8`, vectors are rounded to whole numbers by one scale for all items, and a query by its own,
which keeps the order; usearch alone would scale each vector by its length, and lengths matter here.

Letters: V items, D width, B queries, N items per query.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ltrec.core.errors import UserError, first_line
from ltrec.core.extension.extras import version_of
from ltrec.inference.nearest.options import IndexOptions

LIBRARY = "usearch"
_ADDED_AT_ONCE = 1 << 14
_INT8 = 127.0

F32 = npt.NDArray[np.float32]


class ItemGraph:
    """The graph.

    Args:
        index: of the library.
        threads: that search.
    """

    def __init__(self, index: Any, threads: int = 1) -> None:
        self._index, self.threads = index, threads

    @staticmethod
    def build(
        vectors_VD: F32, options: IndexOptions, threads: int, on_progress: Callable[[int, int], None] = lambda *_: None
    ) -> ItemGraph:
        """Insert all items.

        Args:
            vectors_VD: [V, D] of items 1..V, finite.
            options: of the graph.
            threads: that build it and search in it.
            on_progress: called with the number of items inserted and of all items.
        """
        total, width = vectors_VD.shape
        index = _library().Index(
            ndim=width,
            metric="ip",
            dtype=options.dtype,
            connectivity=options.connectivity,
            expansion_add=options.expansion_build,
            expansion_search=options.expansion_search,
        )
        scale = _INT8 / (float(np.abs(vectors_VD).max(initial=0.0)) or 1.0)
        for start in range(0, total, _ADDED_AT_ONCE):
            part = np.ascontiguousarray(vectors_VD[start : start + _ADDED_AT_ONCE])
            numbers = np.rint(part * scale).astype(np.int8) if options.dtype == "i8" else part
            index.add(np.arange(start + 1, start + 1 + len(part), dtype=np.uint64), numbers, threads=threads)
            on_progress(start + len(part), total)
        return ItemGraph(index, threads)

    @staticmethod
    def open(path: Path, threads: int) -> ItemGraph:
        """A graph on disk, mapped into memory. The caller has checked that the file is whole.

        Raises:
            UserError: it is no such file.
        """
        try:
            index = _library().Index.restore(str(path), view=True)
        except (OSError, RuntimeError, ValueError) as error:
            raise UserError(f"{path} cannot be read as an index: {first_line(error)}; make it again with ltrec index") from None
        if index is None:
            raise UserError(f"{path} is missing; make it again with ltrec index")
        return ItemGraph(index, threads)

    def save(self, path: Path) -> None:
        """Write the graph to a file."""
        self._index.save(str(path))

    def __len__(self) -> int:
        return len(self._index)

    def search(self, queries_BD: F32, count: int, expansion: int) -> npt.NDArray[np.int64]:
        """The items found for each query [B, count], in no order that matters; 0 where there are fewer.

        Args:
            queries_BD: [B, D], finite.
            count: items per query.
            expansion: items kept in view.
        """
        found_BN = np.zeros((len(queries_BD), count), np.int64)
        if not len(self) or not len(queries_BD):
            return found_BN
        self._index.expansion_search = max(expansion, count)
        matches = self._index.search(self._rounded(queries_BD), min(count, len(self)), threads=self.threads)
        keys_BN, counts_B = np.atleast_2d(matches.keys), np.atleast_1d(getattr(matches, "counts", len(matches.keys)))
        there_BN = np.arange(keys_BN.shape[1]) < counts_B[:, None]
        found_BN[:, : keys_BN.shape[1]] = np.where(there_BN, keys_BN.astype(np.int64), 0)
        return found_BN

    def _rounded(self, queries_BD: F32) -> Any:
        if str(self._index.dtype).rpartition(".")[2].lower() != "i8":
            return np.ascontiguousarray(queries_BD)
        largest_B1 = np.abs(queries_BD).max(axis=1, keepdims=True)
        return np.rint(queries_BD / np.where(largest_B1 > 0, largest_B1, 1.0) * _INT8).astype(np.int8)


def _library() -> Any:
    """Imported when a graph is made or opened: most of ltrec does without."""
    return import_module("usearch.index")


def library_version() -> str:
    """Of usearch."""
    return version_of(LIBRARY)


def instructions(graph: ItemGraph) -> str:
    """The processor's instructions that the library computes with; `serial` is slow."""
    return str(graph._index.hardware_acceleration)
