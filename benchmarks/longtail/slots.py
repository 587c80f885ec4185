"""A few at a time, in the order of their numbers: what keeps two cores busy with the logs that come first."""

from __future__ import annotations

import heapq
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Slots:
    """At most `count` holders at a time; of those who wait the smallest number goes first.

    Args:
        count: of slots.
    """

    def __init__(self, count: int) -> None:
        self._free, self._turn = count, threading.Condition()
        self._waiting: list[tuple[int, ...]] = []

    @contextmanager
    def hold(self, number: tuple[int, ...]) -> Iterator[None]:
        """Wait for a slot and hold it. No two may wait with one number."""
        with self._turn:
            heapq.heappush(self._waiting, number)
            self._turn.wait_for(lambda: self._free > 0 and self._waiting[0] == number)
            heapq.heappop(self._waiting)
            self._free -= 1
            self._turn.notify_all()
        try:
            yield
        finally:
            with self._turn:
                self._free += 1
                self._turn.notify_all()
