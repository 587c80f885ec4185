"""Downloads the shards of coming buffers to this node, by threads; nothing happens where they are here.

A buffer's shards are requested several times as early as its rows are read. Shards behind may leave the node's cache meanwhile.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from types import TracebackType

from ltrec.data.stream.order.draws import Buffer
from ltrec.data.stream.order.plan import Plan
from ltrec.data.stream.reading.training_rows import TrainingRows

_HORIZON = 4  # times as many steps ahead as rows are read


class Downloads:
    """The downloads of an iteration from step `first` on; they end with the context.

    Args:
        plan: the order.
        lanes: the rank's.
        rows: reads the shards.
        first: the first step.
    """

    def __init__(self, plan: Plan, lanes: range, rows: TrainingRows, first: int) -> None:
        self._plan, self._lanes, self._rows, self._first = plan, lanes, rows, first
        self._every = max(1, plan.ahead())
        self._requested: set[Buffer] = set()
        self._pool = ThreadPoolExecutor(max(1, rows.downloads), thread_name_prefix="ltrec-downloads")

    def __enter__(self) -> Downloads:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)

    def before(self, step: int) -> None:
        """Request what comes within the horizon of a step."""
        if not self._rows.downloads:
            return
        last = step + _HORIZON * self._every
        if step == self._first:
            for coming in range(step, last, self._every):
                self._request(coming)
        if step % self._every == 0:
            self._request(last)

    def _request(self, step: int) -> None:
        for buffer in self._plan.buffers(step, self._lanes):
            if buffer not in self._requested:
                self._requested.add(buffer)
                for shard in self._rows.shards_of(buffer):
                    self._pool.submit(self._rows.get, shard)
