"""Signals that request a stop: recorded, and acted on between two steps. A second Ctrl-C is acted on at once.

A handler runs between any two instructions of one rank, perhaps in the middle of a collective, so it may neither save nor
communicate with other ranks. Lightning's handlers do both (SIGTERM broadcasts; SIGUSR1 under Slurm saves and requeues). They are
switched off here, and with them the broadcast that every step would make and wait for.
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
"""Kinds of request, the strongest last: stop and be requeued (SIGUSR1, a STOP file), or stop for good (Ctrl-C, SIGTERM)."""

STOP_SIGNALS = {signal.SIGUSR1: REQUEUE, signal.SIGINT: INTERRUPT, signal.SIGTERM: END}

_ECHO_S = 2.0
"""torchrun forwards a Ctrl-C that the processes also got from the terminal: two within this many seconds are one."""


class StopRequest:
    """The strongest request that this process has received so far. A second Ctrl-C ends it at once."""

    def __init__(self) -> None:
        self.kind = NOTHING
        self.training = False  # until then Ctrl-C ends the process: there is nothing to save
        self._interrupted: float | None = None  # time of the first Ctrl-C

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
    """Record stop signals while the context lasts. Outside the main thread Python allows no handlers, so none are recorded.

    A rank that stopped because another one got the request may get the same SIGUSR1 later: Slurm sends it node by node. By default
    that would kill it and the job would fail instead of being requeued, so the handler stays until the process ends.
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
    """Switch off Lightning's own signal handling. There is no public switch; a test checks these names against its source."""
    trainer._signal_connector.register_signal_handlers = _nothing  # type: ignore[method-assign]
    trainer.fit_loop.epoch_loop._broadcast_sigterm_tensor = _nothing  # type: ignore[method-assign]


def _nothing() -> None:
    """Replaces what is switched off."""
