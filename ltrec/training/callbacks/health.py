"""How fast training goes, where the time of a step goes, how much memory it holds, and when it will be over.

    throughput/sequences_per_s, events_per_s   over all processes; validation does not count
    health/step_ms                             an optimiser step, from one to the next
      health/loader_ms                         waiting for a batch
      health/compute_ms                        forward and backward passes
      health/communication_ms                  blocked in the strata's collectives; what overlaps with computing is not seen
      health/optimizer_ms                      clipping and the update
      health/other_ms                          the rest: checkpoints, telemetry, the loop itself
    health/loader_share                        loader_ms / step_ms: above a few percent more stream.threads may help
    health/rss_gib, health/device_gib          memory of a process; the most that torch held on its GPU
    health/eta_s                               until the last epoch; patience may end the run sooner

Means over processes and over the steps since the last line, at the price of one small all-reduce per line and a few clock calls
per step. On a GPU, where work is asynchronous, phases are timed by CUDA events and communication is part of compute; a trace
(`ltrec train --profile`) separates them. Plain DDP (gradients.name=joint) does not separate them on the CPU either.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback

from ltrec.distributed.collectives import all_reduce_sum, current_world
from ltrec.strategy import Stratified
from ltrec.training.clocks import Clock, DeviceClock, HostClock
from ltrec.training.datamodule import stream_of
from ltrec.training.steps import last_step

_GIB = 1 << 30
_PHASES = ("loader", "compute", "communication", "optimizer")


class Health(Callback):
    """Times steps. It comes before the callbacks that work after a step, so that their time is not counted as the step's.

    Attributes:
        latest: the last line written, for display.
    """

    priority = 60

    def __init__(self) -> None:
        self.latest: dict[str, float] = {}
        self._clock: Clock = HostClock()
        self._rows = self._events = 0
        self._blocked: Callable[[], float] = float  # seconds in collectives since the last call; 0 if not measured
        self._begin: Any = None  # of the batch
        self._formed: Any = None  # the step's gradient
        self._since = self._trained_before = 0.0  # seconds: of the clock; before the last validation
        self._started, self._first_step = 0.0, 0

    @property
    def seconds(self) -> float:
        """Seconds of training since the last line, without validation."""
        return self._trained_before + time.monotonic() - self._since

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clocks."""
        if pl_module.device.type == "cuda":
            self._clock = DeviceClock()
        elif isinstance(trainer.strategy, Stratified):
            self._blocked = trainer.strategy.engine.collectives.time_waits()
        self._since = self._started = time.monotonic()
        self._first_step = trainer.global_step

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int) -> None:
        """The step has its batch."""
        self._rows += batch.num_rows
        self._events += batch.items_T.numel()
        self._begin = self._clock.now()

    def on_before_optimizer_step(self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: Any) -> None:
        """The gradient is complete."""
        self._formed = self._clock.now()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Add the batch's time to its phases."""
        end = self._clock.now()
        formed, self._formed = end if self._formed is None else self._formed, None
        self._clock.book("compute", self._begin, formed)
        self._clock.book("optimizer", formed, end)

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Stop the clock."""
        self._trained_before += time.monotonic() - self._since

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start it again."""
        self._since = time.monotonic()

    def line(self, trainer: pl.Trainer, device: torch.device, steps: int) -> dict[str, float]:
        """The keys above, averaged over this many steps; then start again from zero. A collective."""
        seconds = max(self.seconds, 1e-9)
        spent = self._clock.spent()
        blocked = self._blocked()
        mine = [stream_of(trainer).take_waited(), spent["compute"] - blocked, blocked, spent["optimizer"], seconds]
        own = [*mine, float(self._rows), float(self._events), resident_bytes()]
        total = all_reduce_sum(torch.tensor(own, dtype=torch.float64, device=device)).tolist()
        self._rows = self._events = 0
        self._trained_before, self._since = 0.0, time.monotonic()
        self.latest = self._named(total, steps) | self._device_memory(device) | self._time_left(trainer)
        return self.latest

    def _named(self, total: list[float], steps: int) -> dict[str, float]:
        world = current_world().size
        *phases, seconds, rows, events, resident = (value / world for value in total)
        each = {f"health/{name}_ms": 1000 * value / steps for name, value in zip(_PHASES, phases, strict=True)}
        if not total[_PHASES.index("communication")]:
            del each["health/communication_ms"]
        return {
            "throughput/sequences_per_s": world * rows / seconds,
            "throughput/events_per_s": world * events / seconds,
            "health/step_ms": 1000 * seconds / steps,
            **each,
            "health/other_ms": max(0.0, 1000 * (seconds - sum(phases)) / steps),
            "health/loader_share": phases[0] / seconds,
            "health/rss_gib": resident / _GIB,
        }

    def _device_memory(self, device: torch.device) -> dict[str, float]:
        return {"health/device_gib": torch.cuda.max_memory_allocated(device) / _GIB} if device.type == "cuda" else {}

    def _time_left(self, trainer: pl.Trainer) -> dict[str, float]:
        """Seconds until the last step, at the pace so far, validations included."""
        done = trainer.global_step - self._first_step
        pace = (time.monotonic() - self._started) / max(1, done)
        return {"health/eta_s": max(0, last_step(trainer) - trainer.global_step) * pace}


def resident_bytes(statm: Path = Path("/proc/self/statm")) -> float:
    """Resident memory of this process; 0 if unknown."""
    return float(int(statm.read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")) if statm.exists() else 0.0
