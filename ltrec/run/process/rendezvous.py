"""The ranks of a run agree before there is a process group: a failure of one ends all with the same line, and what they hold (code,
settings, data, checkpoint) is compared.

Each rank writes what it holds into the store through which torch's processes rendezvous anyway; rank 0 reads them all and writes a
verdict. This also catches a rank that was started with another WORLD_SIZE, which no collective survives, and a rank whose data are
missing does not leave the others waiting.

    with meeting.together() as held:      every rank does something, and says what it holds
        held["the data"] = digest
                                          here all have done it and hold the same; else every rank has raised the same line
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import torch.distributed as dist
from torch.distributed import PrefixStore, Store  # type: ignore[attr-defined]

from ltrec.core.errors import Stopped, UserError, first_line
from ltrec.core.world import World
from ltrec.distributed.collectives import all_gather_parts
from ltrec.run.process.processes import Processes, detect
from ltrec.run.process.rendezvous_store import meeting_store
from ltrec.training.callbacks.rank_consistency import first_difference

Message = dict[str, Any]
"""What a rank writes into the store: `held`, and `failed`, a line or None."""

_VERDICT = "verdict"
PROCESSES = "the number of processes (WORLD_SIZE)"
_PATIENCE_SECONDS, _KNOCKS_SECONDS = 30.0, 10.0
_FAREWELL_SECONDS = 3.0
"""Rank 0 holds the store: before it ends, the others must have read why."""


class Meeting:
    """The processes of a run, as one of them sees them.

    Args:
        world: this process among all.
        store: where they find each other; None for a single process, or once there is a process group.
        seconds: how long to wait for the others.
        is_over: whether this process was asked to end meanwhile.
        say: called with the rank that it waits for, when that takes long.
    """

    def __init__(
        self,
        world: World,
        store: Store | None,
        seconds: float,
        is_over: Callable[[], bool] = lambda: False,
        say: Callable[[str], object] = lambda _: None,
    ) -> None:
        self.world, self.store, self.seconds, self.is_over, self.say = world, store, seconds, is_over, say
        self._turn = 0

    @contextmanager
    def together(self) -> Iterator[dict[str, str]]:
        """Do something on every rank, and go on when all could and hold the same.

        Yields:
            What this rank holds, by name, to be filled in; causes before effects.

        Raises:
            UserError: another rank could not, or holds something else; the same line on every rank.
            Exception: what this rank itself failed with.
        """
        held = {PROCESSES: str(self.world.size)}
        try:
            yield held
        except Exception as error:
            with suppress(UserError, Stopped):  # what this rank failed with matters more
                self._agree({"held": held, "failed": first_line(error) or type(error).__name__})
            raise
        if (objection := self._agree({"held": held, "failed": None})) is not None:
            raise UserError(objection)

    def _agree(self, mine: Message) -> str | None:
        """Why these processes may not go on, in one line that is the same on all; None when they may."""
        if self.world.size == 1:
            return None
        if self.store is None:
            return _objection(all_gather_parts(mine))
        self._turn += 1
        store = PrefixStore(f"ltrec/{self._turn}", self.store)
        try:
            return self._hear(store, mine) if self.world.rank else self._judge(store, mine)
        except dist.DistError as error:
            raise UserError(f"another process of this run has ended before training began ({first_line(error)})") from error

    def _judge(self, store: Store, mine: Message) -> str | None:
        """Rank 0: collect, until one is out of place, and lay down what follows."""
        found = [mine]
        for rank in range(1, self.world.size):
            if _objection([mine, found[-1]]) is not None:
                break
            self._wait(store, str(rank), self.seconds)
            found.append(json.loads(store.get(str(rank))))
        objection = _objection(found)
        store.set(_VERDICT, json.dumps({"size": self.world.size, "objection": objection}))
        if objection is not None:
            self._see_off(store)
        return objection

    def _hear(self, store: Store, mine: Message) -> str | None:
        """Any other rank: say what it holds, and learn what follows."""
        store.set(str(self.world.rank), json.dumps(mine))
        self._wait(store, _VERDICT, _FAREWELL_SECONDS if mine["failed"] else self.seconds)
        verdict = json.loads(store.get(_VERDICT))
        store.set(f"read/{self.world.rank}", "")
        if verdict["objection"] is None and verdict["size"] <= self.world.rank:  # nobody waited for this one
            return f"rank {self.world.rank} is none of the {verdict['size']} processes of this run (WORLD_SIZE on rank 0)"
        return str(verdict["objection"]) if verdict["objection"] is not None else None

    def _wait(self, store: Store, key: str, seconds: float) -> None:
        who, begin, patient = "rank 0" if key == _VERDICT else f"rank {key}", time.monotonic(), True
        while not store.check([key]):
            waited = time.monotonic() - begin
            if self.is_over():
                raise Stopped(0, requeue=False)
            if waited > seconds:
                raise UserError(f"waited {seconds:g} s for {who} before training began; see what it says, or whether it runs")
            if patient and waited > _PATIENCE_SECONDS:
                self.say(f"rank {self.world.rank} waits for {who} to begin, for {seconds:g} s at most")
                patient = False
            time.sleep(0.02)

    def _see_off(self, store: Store) -> None:
        readers, deadline = [f"read/{rank}" for rank in range(1, self.world.size)], time.monotonic() + _FAREWELL_SECONDS
        while not store.check(readers) and time.monotonic() < deadline:
            time.sleep(0.02)


def meet(
    processes: Processes, seconds: float, is_over: Callable[[], bool] = lambda: False, say: Callable[[str], object] = lambda _: None
) -> Meeting:
    """Find the other processes; the arguments are `Meeting`'s.

    Raises:
        UserError: there is no place to meet.
    """
    return Meeting(processes.world, meeting_store(processes, seconds, is_over), seconds, is_over, say)


def tell_others(error: UserError) -> None:
    """Let the other processes know what this one ends with before they could meet: they would wait for it."""
    with suppress(UserError, Stopped), meet(detect(), _KNOCKS_SECONDS).together():
        raise error


def _objection(messages: Sequence[Message]) -> str | None:
    """Why these ranks may not begin, in one line."""
    for rank, message in enumerate(messages):
        if message["failed"] is not None:
            return f"rank {rank} cannot begin: {message['failed']}"
    difference = first_difference([message["held"] for message in messages])
    return (
        None
        if difference is None
        else f"the ranks are not one run: {difference}; start all of them from the same settings, data and code"
    )
