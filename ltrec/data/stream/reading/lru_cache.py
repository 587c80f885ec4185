"""A small thread-safe cache of recent results (least recently used go first)."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Hashable
from threading import Lock
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class _Entry(Generic[V]):
    """A result that is being computed, or ready: then `held` has one element, which counts for `weight`."""

    __slots__ = ("held", "lock", "weight")

    def __init__(self) -> None:
        self.lock = Lock()
        self.held: list[V] = []
        self.weight = 0


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
        self._weights = Counter[Hashable]()

    def __call__(self, key: K) -> V:
        """The result for `key`."""
        entry = self._entry(key)
        if entry.held:
            return entry.held[0]
        with entry.lock:
            if not entry.held:
                entry.held.append(self._compute(key))
                if self._weigh is not None:
                    self._add_weight(key, entry, self._weigh(entry.held[0]))
            return entry.held[0]

    def values(self) -> list[V]:
        """All results in the cache."""
        with self._lock:
            return [v for entries in self._entries.values() for entry in entries.values() for v in entry.held]

    def _add_weight(self, key: K, entry: _Entry[V], weight: int) -> None:
        """Count a new result, and let go of the oldest ones while all are too heavy."""
        group = self._group(key)
        with self._lock:
            entries = self._entries[group]
            if entries.get(key) is not entry:
                return  # evicted while it was computed
            entry.weight = weight
            self._weights[group] += weight
            while self._weights[group] > self._keep and len(entries) > 1:
                self._evict(group)

    def _evict(self, group: Hashable) -> None:
        self._weights[group] -= self._entries[group].popitem(last=False)[1].weight

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
                self._evict(group)
            return entry
