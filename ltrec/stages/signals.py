"""Signals that ask training to stop: noted, and acted on between two steps.

A handler runs between any two instructions of one rank, perhaps in the middle of a collective, so it may neither save nor talk to
other ranks. Lightning's handlers do both (SIGTERM broadcasts, SIGUSR1 under Slurm saves and requeues); they are switched off here,
and so is the broadcast, with its wait for the device, that every step would pay for them.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import pytorch_lightning as pl

NOTHING, REQUEUE, END = range(3)
"""What is asked for, the stronger wish last: stop and come back (SIGUSR1, a STOP file), or stop for good (SIGTERM)."""

WISHES = {signal.SIGUSR1: REQUEUE, signal.SIGTERM: END}


class Asked:
    """The strongest wish of this process so far."""

    def __init__(self) -> None:
        self.wish = NOTHING

    def note(self, number: int, frame: FrameType | None = None) -> None:
        """The signal handler."""
        self.wish = max(self.wish, WISHES[signal.Signals(number)])


@contextmanager
def heeding() -> Iterator[Asked]:
    """Note signals for as long as the context lasts; outside the main thread, where Python allows no handlers, none arrive."""
    asked = Asked()
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return
    before = {number: signal.signal(number, asked.note) for number in WISHES}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)


def take_over(trainer: pl.Trainer) -> None:
    """Switch off what Lightning does about signals. It has no public switch; a test holds the names to the installed version."""
    trainer._signal_connector.register_signal_handlers = _nothing  # type: ignore[method-assign]
    trainer.fit_loop.epoch_loop._broadcast_sigterm_tensor = _nothing  # type: ignore[method-assign]


def _nothing() -> None:
    """What is left of it."""
