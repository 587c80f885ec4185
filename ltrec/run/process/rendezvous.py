"""Agreement of all ranks before there is a process group: if one fails, all end with the same line, and facts that must be equal
(code, settings, data, checkpoint) are compared.

Each rank writes its facts to the TCP store of torch's rendezvous; rank 0 reads all of them and writes a verdict. This also catches
a rank started with another WORLD_SIZE, with which collectives would hang, and no rank waits for one that has failed.

    with rendezvous.agree() as facts:     every rank does its part, and records facts that must be equal
        facts["the data"] = digest
                                          here all ranks have succeeded with equal facts; else each has raised the same line
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
from ltrec.distributed.differences import first_difference
from ltrec.run.process.detect import detect
from ltrec.run.process.rendezvous_env import Processes
from ltrec.run.process.rendezvous_store import open_store

RankReport = dict[str, Any]
"""Entry of a rank in the store: `facts`, and `failed`, a line or None."""

_VERDICT = "verdict"
PROCESSES = "the number of processes (WORLD_SIZE)"
_WARN_AFTER_SECONDS, _NOTIFY_SECONDS = 30.0, 10.0
_READ_SECONDS = 3.0
"""Rank 0 serves the store: before it ends, the others must have read the verdict."""


class Rendezvous:
    """Agreement between the ranks of a run.

    Args:
        world: this process among all.
        store: shared by all ranks; None for a single process, or once there is a process group.
        seconds: how long to wait for other ranks.
        should_stop: whether a stop was requested meanwhile.
        say: called with a line about the rank it waits for, if that takes long.
    """

    def __init__(
        self,
        world: World,
        store: Store | None,
        seconds: float,
        should_stop: Callable[[], bool] = lambda: False,
        say: Callable[[str], object] = lambda _: None,
    ) -> None:
        self.world, self.store, self.seconds, self.should_stop, self.say = world, store, seconds, should_stop, say
        self._round = 0

    @contextmanager
    def agree(self) -> Iterator[dict[str, str]]:
        """Run the body on every rank, and continue if all succeeded with equal facts.

        Yields:
            The facts of this rank by name, to be filled in; causes before effects, since the first difference is reported.

        Raises:
            UserError: another rank failed, or has other facts; the same line on every rank.
            Exception: the failure of this rank itself.
        """
        facts = {PROCESSES: str(self.world.size)}
        try:
            yield facts
        except Exception as error:
            with suppress(UserError, Stopped):  # the failure of this rank matters more
                self._exchange({"facts": facts, "failed": first_line(error) or type(error).__name__})
            raise
        if (objection := self._exchange({"facts": facts, "failed": None})) is not None:
            raise UserError(objection)

    def _exchange(self, own: RankReport) -> str | None:
        """The reason why these ranks must not continue, the same line on all; None when they may."""
        if self.world.size == 1:
            return None
        if self.store is None:
            return _objection(all_gather_parts(own))
        self._round += 1
        store = PrefixStore(f"ltrec/{self._round}", self.store)
        try:
            return self._report(store, own) if self.world.rank else self._collect(store, own)
        except dist.DistError as error:
            raise UserError(f"another process of this run has ended before training began ({first_line(error)})") from error

    def _collect(self, store: Store, own: RankReport) -> str | None:
        """Rank 0: read the reports up to the first objection, and publish the verdict."""
        found = [own]
        for rank in range(1, self.world.size):
            if _objection([own, found[-1]]) is not None:
                break
            self._wait(store, str(rank), self.seconds)
            found.append(json.loads(store.get(str(rank))))
        objection = _objection(found)
        store.set(_VERDICT, json.dumps({"size": self.world.size, "objection": objection}))
        if objection is not None:
            self._wait_for_readers(store)
        return objection

    def _report(self, store: Store, own: RankReport) -> str | None:
        """Any other rank: write its report, and read the verdict."""
        store.set(str(self.world.rank), json.dumps(own))
        self._wait(store, _VERDICT, _READ_SECONDS if own["failed"] else self.seconds)
        verdict = json.loads(store.get(_VERDICT))
        store.set(f"read/{self.world.rank}", "")
        if verdict["objection"] is None and verdict["size"] <= self.world.rank:  # rank 0 does not expect this rank
            return f"rank {self.world.rank} is not one of the {verdict['size']} processes of this run (WORLD_SIZE on rank 0)"
        return str(verdict["objection"]) if verdict["objection"] is not None else None

    def _wait(self, store: Store, key: str, seconds: float) -> None:
        other, begin, quiet = "rank 0" if key == _VERDICT else f"rank {key}", time.monotonic(), True
        while not store.check([key]):
            waited = time.monotonic() - begin
            if self.should_stop():
                raise Stopped(0, requeue=False)
            if waited > seconds:
                raise UserError(f"waited {seconds:g} s for {other} before training began; see whether it runs, and its output")
            if quiet and waited > _WARN_AFTER_SECONDS:
                self.say(f"rank {self.world.rank} waits for {other} to begin, for {seconds:g} s at most")
                quiet = False
            time.sleep(0.02)

    def _wait_for_readers(self, store: Store) -> None:
        readers, deadline = [f"read/{rank}" for rank in range(1, self.world.size)], time.monotonic() + _READ_SECONDS
        while not store.check(readers) and time.monotonic() < deadline:
            time.sleep(0.02)


def join_ranks(
    processes: Processes,
    seconds: float,
    should_stop: Callable[[], bool] = lambda: False,
    say: Callable[[str], object] = lambda _: None,
) -> Rendezvous:
    """Find the other processes; the arguments are `Rendezvous`'s.

    Raises:
        UserError: there is no store to connect to.
    """
    return Rendezvous(processes.world, open_store(processes, seconds, should_stop), seconds, should_stop, say)


def notify_other_ranks(error: UserError) -> None:
    """Tell the other ranks of an error before the rendezvous, for which they would wait otherwise."""
    with suppress(UserError, Stopped), join_ranks(detect(), _NOTIFY_SECONDS).agree():
        raise error


def _objection(messages: Sequence[RankReport]) -> str | None:
    """The reason why these ranks must not start, in one line; None if they may."""
    for rank, message in enumerate(messages):
        if message["failed"] is not None:
            return f"rank {rank} cannot start: {message['failed']}"
    difference = first_difference([message["facts"] for message in messages])
    return (
        None
        if difference is None
        else f"the ranks are not one run: {difference}; start all of them from the same settings, data and code"
    )
