"""A small thread-safe cache of recent results (least recently used go first)."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from threading import Lock
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class _Entry(Generic[V]):
    """A result that is being computed, or ready: then `held` has one element."""

    __slots__ = ("held", "lock")

    def __init__(self) -> None:
        self.lock = Lock()
        self.held: list[V] = []


class LruCache(Generic[K, V]):
    """`compute` with a cache of the `keep` most recently used keys *of each group*; where results weigh something, of so many that
    together they weigh no more than `keep`, or of a single one.

    Threads that request the same key at the same time compute it once; an evicted key is computed again. An exception is raised in
    the computing thread, and nothing is cached.
    """

    def __init__(
        self,
        compute: Callable[[K], V],
        keep: int,
        group: Callable[[K], Hashable] = lambda _: None,
        weigh: Callable[[V], int] | None = None,
    ) -> None:
        self._compute = compute
        self._keep = keep
        self._group = group
        self._weigh = weigh
        self._lock = Lock()
        self._entries: dict[Hashable, OrderedDict[K, _Entry[V]]] = {}

    def __call__(self, key: K) -> V:
        """The result for `key`."""
        entry = self._entry(key)
        if entry.held:
            return entry.held[0]
        with entry.lock:
            if not entry.held:
                entry.held.append(self._compute(key))
                if self._weigh is not None:
                    self._lighten(self._group(key), self._weigh)
            return entry.held[0]

    def values(self) -> list[V]:
        """All results in the cache."""
        with self._lock:
            return [v for entries in self._entries.values() for entry in entries.values() for v in entry.held]

    def _lighten(self, group: Hashable, weigh: Callable[[V], int]) -> None:
        with self._lock:
            entries = self._entries[group]
            total = sum(weigh(value) for entry in entries.values() for value in entry.held)
            while total > self._keep and len(entries) > 1:
                total -= sum(map(weigh, entries.popitem(last=False)[1].held))

    def _entry(self, key: K) -> _Entry[V]:
        group = self._group(key)
        with self._lock:
            if (entries := self._entries.get(group)) is None:
                entries = self._entries[group] = OrderedDict()
            if (entry := entries.get(key)) is not None:
                entries.move_to_end(key)
                return entry
            entry = entries[key] = _Entry()
            while len(entries) > self._keep:
                entries.popitem(last=False)
            return entry
