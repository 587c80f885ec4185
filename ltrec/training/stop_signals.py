"""Signals that ask training to stop: noted, and acted on between two steps. A second Ctrl-C is acted on at once.

A handler runs between any two instructions of one rank, perhaps in the middle of a collective, so it may neither save nor talk to
other ranks. Lightning's handlers do both (SIGTERM broadcasts, SIGUSR1 under Slurm saves and requeues); they are switched off here,
and so is the broadcast, with its wait for the device, that every step would pay for them.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import pytorch_lightning as pl

from ltrec.core.errors import Stopped

NOTHING, REQUEUE, INTERRUPT, END = range(4)
"""What is asked for, the stronger wish last: stop and come back (SIGUSR1, a STOP file), or stop for good (Ctrl-C, SIGTERM)."""

STOP_SIGNALS = {signal.SIGUSR1: REQUEUE, signal.SIGINT: INTERRUPT, signal.SIGTERM: END}

_ECHO_S = 2.0
"""torchrun hands Ctrl-C on to processes that have heard it from the terminal: within so many seconds it is one."""


class StopRequest:
    """The strongest wish of this process so far. Who presses Ctrl-C twice does not want to wait."""

    def __init__(self) -> None:
        self.kind = NOTHING
        self.training = False  # before, a Ctrl-C ends the process: there is nothing to save
        self._interrupted: float | None = None  # when

    def handle(self, number: int, frame: FrameType | None = None) -> None:
        """The signal handler.

        Raises:
            KeyboardInterrupt: before training begins, and at the second Ctrl-C; the third ends the process wherever it is.
        """
        if number == signal.SIGINT:
            self._interrupt()
        self.kind = max(self.kind, STOP_SIGNALS[signal.Signals(number)])

    def _interrupt(self) -> None:
        now, before = time.monotonic(), self._interrupted
        self._interrupted = now if before is None else before
        echo = before is not None and "TORCHELASTIC_RUN_ID" in os.environ and now - before < _ECHO_S
        if self.training and (before is None or echo):
            return
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        raise KeyboardInterrupt


@contextmanager
def catch_stop_signals() -> Iterator[StopRequest]:
    """Note signals for as long as the context lasts; outside the main thread, where Python allows no handlers, none arrive.

    A rank that stopped because another was asked may hear the same SIGUSR1 afterwards: Slurm sends it node by node. By default that
    would kill it, and the job would fail instead of coming back; so it is noted to the end of the process.
    """
    stop = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {number: signal.signal(number, stop.handle) for number in STOP_SIGNALS}
    try:
        yield stop
    except Stopped as stopped:
        if stopped.requeue:
            before[signal.SIGUSR1] = stop.handle
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)


def disable_lightning_signals(trainer: pl.Trainer) -> None:
    """Switch off what Lightning does about signals. It has no public switch; a test holds the names to the installed version."""
    trainer._signal_connector.register_signal_handlers = _nothing  # type: ignore[method-assign]
    trainer.fit_loop.epoch_loop._broadcast_sigterm_tensor = _nothing  # type: ignore[method-assign]


def _nothing() -> None:
    """What is left of it."""
