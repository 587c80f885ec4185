"""A small cache of recent results, shared by threads: computed once, a few kept."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from threading import Lock
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class _Cell(Generic[V]):
    """A result that is being computed or is ready; `held` then has one entry."""

    __slots__ = ("held", "lock")

    def __init__(self) -> None:
        self.lock = Lock()
        self.held: list[V] = []


class Recent(Generic[K, V]):
    """`compute` with a cache of the `keep` most recently used keys *of each group*.

    Two threads that ask for the same key compute it once; a key that was forgotten is computed again. An exception is raised in
    the thread that computed and nothing is remembered.
    """

    def __init__(self, compute: Callable[[K], V], keep: int, group: Callable[[K], Hashable] = lambda _: None) -> None:
        self._compute = compute
        self._keep = keep
        self._group = group
        self._lock = Lock()
        self._cells: dict[Hashable, OrderedDict[K, _Cell[V]]] = {}

    def __call__(self, key: K) -> V:
        """The result for `key`."""
        cell = self._cell(key)
        with cell.lock:
            if not cell.held:
                cell.held.append(self._compute(key))
            return cell.held[0]

    def values(self) -> list[V]:
        """All results that are kept at the moment."""
        with self._lock:
            return [v for cells in self._cells.values() for cell in cells.values() for v in cell.held]

    def _cell(self, key: K) -> _Cell[V]:
        with self._lock:
            cells = self._cells.setdefault(self._group(key), OrderedDict())
            cell = cells.setdefault(key, _Cell())
            cells.move_to_end(key)
            while len(cells) > self._keep:
                cells.popitem(last=False)
            return cell
