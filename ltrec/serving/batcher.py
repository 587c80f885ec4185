"""The bounded queue of histories, and the one thread that owns the model.

Histories that come while the model works are answered together in its next pass, so that batches grow with the load and nobody
waits for a batch to fill. The event loop only hands requests over and gets answers back, one call for all requests of a pass.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ltrec.serving.served import ModelAnswer, Query, ServedModel


class QueueFull(Exception):
    """As many histories wait as may."""


@dataclass(frozen=True, slots=True)
class _Job:
    queries: Sequence[Query]
    done: asyncio.Future[list[ModelAnswer]]


@dataclass(frozen=True, slots=True)
class _Outcome:
    job: _Job
    answers: list[ModelAnswer] | None
    error: Exception | None = None


class Batcher:
    """Answers histories in batches.

    Args:
        model: that answers.
        batch: histories of a pass, at most; a longer request is answered in several.
        waiting: histories that may wait.
        on_batch: called with the size of every pass, in the thread of the model.
    """

    def __init__(self, model: ServedModel, *, batch: int, waiting: int, on_batch: Callable[[int], None]) -> None:
        self.model = model  # one assignment replaces it between two passes
        self._batch, self._most, self._on_batch = batch, waiting, on_batch
        self._jobs: deque[_Job] = deque()
        self._waiting, self._stopping = 0, False
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    @property
    def waiting(self) -> int:
        """Histories that wait now."""
        return self._waiting

    def start(self) -> None:
        """Start the thread."""
        self._stopping = False
        self._thread = threading.Thread(target=self._work, name="ltrec-model", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Answer what waits, then end the thread."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join()

    async def answer(self, queries: Sequence[Query]) -> list[ModelAnswer]:
        """Wait for the answers.

        Raises:
            QueueFull: at once.
        """
        job = _Job(queries, asyncio.get_running_loop().create_future())
        with self._changed:
            if self._waiting + len(queries) > self._most:
                raise QueueFull
            self._jobs.append(job)
            self._waiting += len(queries)
            self._changed.notify_all()
        return await job.done

    def _work(self) -> None:
        while jobs := self._next():
            outcomes = self._outcomes([job for job in jobs if not job.done.cancelled()])
            for loop in {outcome.job.done.get_loop() for outcome in outcomes}:
                _deliver_in(loop, [outcome for outcome in outcomes if outcome.job.done.get_loop() is loop])

    def _next(self) -> list[_Job]:
        """What fits into a pass, one job at least; nothing at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._jobs or self._stopping)
            taken, size = list[_Job](), 0
            while self._jobs and (not taken or size + len(self._jobs[0].queries) <= self._batch):
                taken.append(self._jobs.popleft())
                size += len(taken[-1].queries)
            self._waiting -= size
            return taken

    def _outcomes(self, jobs: Sequence[_Job]) -> list[_Outcome]:
        """All jobs answered. Should the model fail over them, each is tried alone, so that one cannot spoil the others."""
        if not jobs:
            return []
        try:
            answers = iter(self._answers([query for job in jobs for query in job.queries]))
        except Exception as error:  # noqa: BLE001  handed to those who asked
            if len(jobs) == 1:
                return [_Outcome(jobs[0], None, error)]
            return [outcome for job in jobs for outcome in self._outcomes([job])]
        return [_Outcome(job, [next(answers) for _ in job.queries]) for job in jobs]

    def _answers(self, queries: Sequence[Query]) -> list[ModelAnswer]:
        model, found = self.model, list[ModelAnswer]()
        for start in range(0, len(queries), self._batch):
            part = queries[start : start + self._batch]
            self._on_batch(len(part))
            found += model.answer(part)
        return found


def _deliver_in(loop: asyncio.AbstractEventLoop, outcomes: Sequence[_Outcome]) -> None:
    if not loop.is_closed():
        loop.call_soon_threadsafe(_deliver, outcomes)


def _deliver(outcomes: Sequence[_Outcome]) -> None:
    for outcome in outcomes:
        if outcome.job.done.done():  # the client has gone
            continue
        if outcome.answers is None:
            outcome.job.done.set_exception(outcome.error or RuntimeError())
        else:
            outcome.job.done.set_result(outcome.answers)
