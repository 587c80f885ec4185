"""Shows where a run hangs: if nothing happens for so many seconds, the stacks of all threads are written to a file.

Nothing is stopped, since what looks like a hang may be a slow disk. The stacks are written by a thread of faulthandler, which needs
neither the interpreter's lock nor its memory, so a hang inside a library shows as well. Each process writes its own file; together
they show which process waits for which.

    steps, validation batches, checkpoints -> heartbeats -> a watching thread restarts the timer; without one, it fires
"""

from __future__ import annotations

import faulthandler
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback

_LOOKS = 4  # looks of the watching thread within the time that is too long


class Watchdog(Callback):
    """Watches a process from the first training step to the last.

    Args:
        folder: where the file rank-<r>.txt goes; folder and file are removed by a run that never hung.
        seconds: how long without a heartbeat is too long; the timer fires up to a quarter later.
        on_note: is called with one line, on every process that hangs, about where its stacks are.
    """

    priority = -30

    def __init__(self, folder: Path, seconds: float, on_note: Callable[[str], None]) -> None:
        assert seconds > 0
        self.folder, self.seconds, self.on_note = folder, seconds, on_note
        self._beats = self._step = 0
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start watching."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"rank-{trainer.global_rank}.txt"
        self._over.clear()
        self._thread = threading.Thread(target=self._watch, args=(path,), name="ltrec-watchdog", daemon=True)
        self._thread.start()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """A heartbeat."""
        self._beats, self._step = self._beats + 1, trainer.global_step

    def on_validation_batch_end(self, *args: Any, **kwargs: Any) -> None:
        """A heartbeat."""
        self._beats += 1

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """A heartbeat."""
        self._beats += 1

    def on_save_checkpoint(self, *args: Any, **kwargs: Any) -> None:
        """A heartbeat."""
        self._beats += 1

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Stop watching."""
        self._stop()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Stop watching."""
        self._stop()

    def _stop(self) -> None:
        if self._thread is not None:
            self._over.set()
            self._thread.join()
            self._thread = None

    def _watch(self, path: Path) -> None:
        with open(path, "ab", buffering=0) as file:
            try:
                self._look(file, path)
            finally:
                faulthandler.cancel_dump_traceback_later()
        if not path.stat().st_size:
            path.unlink()
            with suppress(OSError):  # another rank's file is in it
                self.folder.rmdir()

    def _look(self, file: BinaryIO, path: Path) -> None:
        """Restart the timer after every heartbeat; when it has fired, say so once."""
        seen, size = -1, 0
        while True:
            if self._beats != seen:
                seen, size = self._beats, os.fstat(file.fileno()).st_size
                faulthandler.dump_traceback_later(self.seconds, file=file)
            elif size >= 0 and os.fstat(file.fileno()).st_size > size:
                size = -1
                now = datetime.now(UTC).isoformat(timespec="seconds")
                file.write(f"-- {now}: nothing since step {self._step} for {self.seconds:g} s\n\n".encode())
                self.on_note(f"no step for {self.seconds:g} s after step {self._step}: stacks of all threads are in {path}")
            if self._over.wait(self.seconds / _LOOKS):
                return
