"""The loader: a rank's micro-batches of every step, prepared by threads and delivered in order.

Threads rather than processes: decoding and gathering run in C and release the GIL, nothing is pickled, and an error is raised in
the consumer. The order does not depend on them: the unit of work is a run of whole steps, and steps are handed out by number. The
first run of an iteration is a single step, so that training begins at once; then runs become longer, up to what fits in a few MiB.

The state is a counter that only `advance` moves, which the training loop calls after every optimiser step. Batches that were
prefetched but not trained on do not count, nor do rows that were replaced in them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor

from ltrec.columns.schema import ITEMS_ONLY, Projection
from ltrec.core.batch import SequenceBatch
from ltrec.core.counting import counted
from ltrec.core.errors import UserError
from ltrec.core.world import World
from ltrec.data.manifest import Manifest
from ltrec.data.stream.assemble import Step, assemble
from ltrec.data.stream.order.draws import Buffer
from ltrec.data.stream.order.plan import Plan
from ltrec.data.stream.order.pools import ITEM_BYTES
from ltrec.data.stream.quarantine.ledger import Gather, Ledger, alone, merged
from ltrec.data.stream.quarantine.quarantine import Place, Quarantine
from ltrec.data.stream.reading.downloads import Downloads
from ltrec.data.stream.reading.projected import Projected
from ltrec.data.stream.reading.training_rows import TrainingRows
from ltrec.data.stream.recycled import Recycled
from ltrec.data.stream.state import Span, StreamState, add_digests

_RUN_ROWS, _RUN_BYTES = 1 << 13, 1 << 24  # of the steps that are put together at a time
_POSITION_BYTES = 16  # input and target
_RUNS_OF_A_BUFFER = 4  # at least, so that what is in progress needs two buffers of a lane, and no more


class StreamLoader:
    """Iterates over the rank's micro-batches from the next step to the end of its epoch.

    Args:
        folder: the prepared data set.
        manifest: its manifest.
        plan: the order.
        world: rank of this process and number of processes.
        accumulate: micro-batches per step.
        prefetch: steps prepared ahead.
        threads: threads that prepare them.
        memory_mib: most MiB of rows this process may hold.
        check: `hash` or `size`, how a shard is verified when it is first opened.
        columns: what batches carry besides items; weights, where the data set has some, they carry anyway.
        pin: put batches into page-locked memory, from which an accelerator takes them without making anyone wait.
        quarantine: lets training survive damaged row groups; None = damage is an error.

    Raises:
        UserError: the world does not divide the lanes, `accumulate` does not divide the rank's rows, memory would not suffice, or
            a shard is missing or has another size, or there is no such column.
    """

    def __init__(
        self,
        folder: Path,
        manifest: Manifest,
        plan: Plan,
        *,
        world: World,
        accumulate: int = 1,
        prefetch: int = 2,
        threads: int = 2,
        memory_mib: int = 4096,
        check: str = "hash",
        columns: Projection = ITEMS_ONLY,
        pin: bool = False,
        quarantine: Quarantine | None = None,
    ) -> None:
        self._quarantine = quarantine
        self._plan, self._accumulate, self._pin = plan, accumulate, pin
        self._columns = Projected.of(manifest, columns, training=True)
        self._lanes = world.share(plan.lanes, "lanes")
        _check_accumulate(accumulate, plan.batch_rows // world.size)
        _check_memory(plan, len(self._lanes), memory_mib, self._columns.event_bytes)
        self._prefetch, self._threads, self._memory = max(1, prefetch), max(1, threads), Recycled()
        self._rows = TrainingRows(folder, manifest, plan, check, self._columns, quarantine, self._lanes)
        self._state = StreamState(manifest.digest, plan.digest, plan.seed)
        self._own_digest = 0  # of this rank's rows since the state was created or loaded
        self._step_digests: dict[int, int] = {}  # of steps handed out but not yet trained on
        self._step_replaced: dict[int, Mapping[Place, int]] = {}
        self._read_ahead: list[Buffer] = []  # what was wanted last

    def __len__(self) -> int:
        """Micro-batches of a whole epoch, also when a resumed iteration delivers only the rest of it."""
        return self._plan.steps_per_epoch * self._accumulate

    @property
    def next_step(self) -> int:
        """The first step that has not been trained on."""
        return self._state.next_step

    def __iter__(self) -> Iterator[SequenceBatch]:
        # A generator: the counter is read at the first batch, so a state may still be loaded after iter().
        first, epoch = self.next_step, self._plan.steps_per_epoch
        self._step_digests.clear()
        self._step_replaced.clear()
        for number, step in self._steps(range(first, (first // epoch + 1) * epoch)):
            self._step_digests[number] = step.digest
            self._step_replaced[number] = step.replaced
            yield from step.micro_batches

    def advance(self, step: int) -> None:
        """Record that `step`, which must be the next one, has been trained on."""
        assert step == self.next_step, f"step {step} was trained on, but {self.next_step} is next"
        self._own_digest = add_digests(self._own_digest, self._step_digests.pop(step))
        self._state = replace(self._state, next_step=step + 1)
        replaced = self._step_replaced.pop(step)
        if self._quarantine is not None:
            self._quarantine.trained(step, replaced)

    def state_dict(self, sum_over_ranks: Callable[[int], int] = lambda own: own, gather: Gather = alone) -> dict[str, Any]:
        """The state of the whole run as plain values.

        Args:
            sum_over_ranks: adds this rank's digest of consumed rows (64 unsigned bits) over all ranks mod 2^64. It is a collective,
                so either every rank calls this method or none does; with `state.as_signed` an int64 all-reduce is all it takes.
                The default is correct for a single process.
            gather: gives the ledgers of all ranks; called if there is a quarantine.
        """
        total = add_digests(int(self._state.data_digest, 16), sum_over_ranks(self._own_digest))
        return replace(self._state, data_digest=f"{total:016x}", quarantine=self.ledger(gather)).to_dict()

    @property
    def has_quarantine(self) -> bool:
        """Whether training survives damaged row groups."""
        return self._quarantine is not None

    def ledger(self, gather: Gather = alone) -> Ledger:
        """The damaged row groups of the whole run.

        Args:
            gather: gives the ledgers of all ranks, a collective; called if there is a quarantine.

        Raises:
            UserError: what all ranks have found is beyond the budget.
        """
        if self._quarantine is None:
            return self._state.quarantine
        ledger = merged([self._state.quarantine, *gather(self._quarantine.own())])
        self._quarantine.check(ledger)
        return ledger

    def begin_after(self, earlier: tuple[Span, ...]) -> None:
        """Record what the weights were trained on before this run, whose first step is still to come."""
        assert self.next_step == 0
        self._state = replace(self._state, earlier=earlier)

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """Resume from a saved state, saved by any number of processes.

        Raises:
            UserError: it belongs to another data set, seed or order, or its ledger names damage and there is no quarantine.
        """
        state = self._state.continued_from(saved)
        if self._quarantine is not None:
            self._quarantine.restore(state.next_step, state.quarantine)
        elif state.quarantine:
            raise UserError(
                f"the checkpoint was trained without {counted(len(state.quarantine), 'damaged row group')}, which another policy "
                "would train on: set `on_damage`=quarantine, or start a new run"
            )
        self._state, self._own_digest = state, 0
        self._step_digests.clear()
        self._step_replaced.clear()

    def _steps(self, numbers: range) -> Iterator[tuple[int, Step]]:
        """The steps in order, with `prefetch` of them in progress; the threads end with the iterator, also when it is abandoned."""
        waiting: deque[tuple[range, Future[list[Step | UserError]]]] = deque()
        todo = runs_of(numbers, self._longest_run())
        self._read_ahead = []
        downloads = Downloads(self._plan, self._lanes, self._rows, numbers.start)
        with downloads, _threads(self._threads) as workers:
            try:
                while True:
                    while self._wants_more([steps for steps, _ in waiting]) and (steps := next(todo, None)) is not None:
                        for number in steps:
                            downloads.before(number)
                        waiting.append((steps, workers.submit(self._build, steps)))
                        for number in steps:
                            self._look_ahead(workers, number)
                    if not waiting:
                        return
                    steps, future = waiting.popleft()
                    for number, made in zip(steps, future.result(), strict=True):
                        if isinstance(made, UserError):
                            raise made
                        yield number, made
            finally:
                for _, future in waiting:
                    future.cancel()

    def _longest_run(self) -> int:
        """Steps that are put together at a time: so many that calls cost little beside data, as long as buffers last."""
        rows = len(self._lanes) * self._plan.batch_rows // self._plan.lanes
        most = min(_RUN_ROWS // rows, _RUN_BYTES // (rows * (self._plan.max_len + 1) * _POSITION_BYTES))
        buffer = self._plan.steps_of_a_buffer
        return max(1, min(most, buffer // _RUNS_OF_A_BUFFER) if buffer else most)

    def _wants_more(self, waiting: list[range]) -> bool:
        """Whether to begin another run: the next one is handed out soon, and `prefetch` steps after it are to be in progress."""
        return len(waiting) <= 1 or sum(map(len, waiting[1:])) < self._prefetch

    def _build(self, steps: range) -> list[Step | UserError]:
        """The steps of a run; if one cannot be had, those before it and the error."""
        place = Tensor.pin_memory if self._pin else _as_it_is
        try:
            return [
                *assemble(
                    self._plan,
                    steps,
                    self._lanes,
                    accumulate=self._accumulate,
                    rows_of=self._rows.drawn,
                    columns=self._columns,
                    place=place,
                    memory=self._memory,
                )
            ]
        except UserError as error:
            if len(steps) == 1:
                return [UserError(f"step {steps.start}: {error}")]
            return [made for step in steps for made in self._build(range(step, step + 1))]

    def _look_ahead(self, workers: ThreadPoolExecutor, step: int) -> None:
        """Every few steps, have the buffers of a later step read, so that they are ready in time."""
        ahead = self._plan.ahead()
        if ahead and step % ahead == 0:
            wanted = self._plan.buffers(step + 2 * ahead, self._lanes)
            for buffer in wanted:
                if buffer not in self._read_ahead:
                    workers.submit(self._rows.read_ahead, buffer)
            self._read_ahead = wanted


def runs_of(numbers: range, longest: int) -> Iterator[range]:
    """The numbers in runs of 1, 2, 4, ... and in the end `longest`."""
    size = 1
    while numbers:
        yield numbers[:size]
        numbers, size = numbers[size:], min(2 * size, longest)


def _as_it_is(tensor: Tensor) -> Tensor:
    return tensor


@contextmanager
def _threads(count: int) -> Iterator[ThreadPoolExecutor]:
    """A thread pool that cancels pending work on exit."""
    pool = ThreadPoolExecutor(count, thread_name_prefix="ltrec-steps")
    try:
        yield pool
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _check_accumulate(accumulate: int, rank_rows: int) -> None:
    if accumulate < 1 or rank_rows % accumulate:
        allowed = ", ".join(str(a) for a in range(1, rank_rows + 1) if rank_rows % a == 0)
        raise UserError(f"accumulate={accumulate} does not divide the {rank_rows} rows of a process per step; allowed: {allowed}")


def _check_memory(plan: Plan, lanes: int, memory_mib: int, event_bytes: int) -> None:
    """Refuse what might not fit; with columns, by the most that they could take beside the items of the same rows."""
    needed = -(-plan.memory_bytes(lanes) * (ITEM_BYTES + event_bytes) // ITEM_BYTES >> 20)
    if needed > memory_mib:
        raise UserError(
            f"{lanes} lanes of this process may hold {needed} MiB of rows, `memory_mib`={memory_mib}; use more processes, "
            "a smaller `buffer_blocks`, or raise the limit"
        )
