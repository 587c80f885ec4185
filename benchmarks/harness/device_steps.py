"""Measure the steps of one way to train on a device: time, launches, waits with their lines, FLOPs, memory.

On a CUDA device torch itself reports waits (its sync debug mode) and the profiler counts kernels. On the CPU both are counted as an
accelerator would have them (`waits`, `operations`), which is the rehearsal: the same code, the same figures but times and memory.
"""

from __future__ import annotations

import time
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

import pytorch_lightning as pl
import torch
from torch.profiler import ProfilerActivity, profile

from .operations import Operations
from .steps import Size, Way, batches_of, fit, tensors_on_device
from .waits import Waits, line_of_project

WARM = 4
"""Steps that are not timed: memory is taken, kernels are loaded, the first accumulation is checked."""


@dataclass
class Measured:
    """Of one way to train at one size."""

    step_ms: float = 0.0
    launches: int = 0
    waits: int = 0
    wait_lines: list[str] = field(default_factory=list)
    gflop: float = 0.0
    memory_mib: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """For machines."""
        return asdict(self)


class FlopCounter(Protocol):
    """Counts floating-point operations while it is entered."""

    total: int

    def __enter__(self) -> Any: ...

    def __exit__(self, *error: Any) -> Any: ...


def measure(
    size: Size, way: Way, *, device: str, precision: str = "32-true", timed: int = 20, flops: FlopCounter | None = None
) -> Measured:
    """Train some steps: warm, timed, and one each under the counters of waits, launches and FLOPs."""
    probe = Probe(device, timed, flops)
    fit(size, way, batches_of(size, WARM + timed + 3), [probe], device=device, precision=precision)
    return probe.measured


class Probe(pl.Callback):
    """What is done to a step depends on its number."""

    def __init__(self, device: str, timed: int, flops: FlopCounter | None) -> None:
        self.measured, self.device, self.timed, self.flops = Measured(), device, timed, flops
        self._begin = 0.0
        self._counting: Any = None

    @property
    def on_cuda(self) -> bool:
        """Whether there is anything asynchronous."""
        return self.device != "cpu"

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int) -> None:
        """Start the clock, or a counter."""
        if batch_idx == WARM:
            if self.on_cuda:
                torch.cuda.reset_peak_memory_stats()
            self._begin = self._now()
        counted = batch_idx - WARM - self.timed
        if counted < 0:
            return
        self._counting = (self._waits(trainer, pl_module, batch), self._launches(), self._flops())[counted]
        self._counting.__enter__()

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Stop it."""
        del trainer, pl_module, outputs, batch
        if batch_idx == WARM + self.timed - 1:
            self.measured.step_ms = 1000 * (self._now() - self._begin) / self.timed
            if self.on_cuda:
                self.measured.memory_mib = torch.cuda.max_memory_allocated() / 2**20
        if self._counting is not None:
            self._counting.__exit__(None, None, None)
            self._counting = None

    def _now(self) -> float:
        if self.on_cuda:
            torch.cuda.synchronize()
        return time.perf_counter()

    @contextmanager
    def _waits(self, trainer: pl.Trainer, module: pl.LightningModule, batch: Any) -> Iterator[None]:
        if self.on_cuda:
            with cuda_waits() as found:
                yield
            places = found
        else:
            waits = Waits()
            waits.mark(tensors_on_device(module, batch))
            waits.mark(value for state in trainer.optimizers[0].state.values() for value in state.values())
            with waits:
                yield
            places = waits.places
        self.measured.waits = places.total()
        self.measured.wait_lines = [f"{n}x {what} {where}" for (what, where), n in places.most_common()]

    @contextmanager
    def _launches(self) -> Iterator[None]:
        if self.on_cuda:
            torch.cuda.synchronize()
            with profile(activities=[ProfilerActivity.CUDA, ProfilerActivity.CPU]) as recorded:
                yield
                torch.cuda.synchronize()
            events = recorded.events() or []
            self.measured.launches = sum(str(event.device_type).endswith("CUDA") for event in events)
        else:
            with Operations() as operations:
                yield
            self.measured.launches = operations.total

    @contextmanager
    def _flops(self) -> Iterator[None]:
        if self.flops is None:
            yield
            return
        with self.flops:
            yield
        self.measured.gflop = self.flops.total / 1e9


@contextmanager
def cuda_waits() -> Iterator[Counter[tuple[str, str]]]:
    """Synchronising operations, as torch reports them, with the line of this project that was at work."""
    found: Counter[tuple[str, str]] = Counter()

    def note(message: Warning | str, *_: Any, **__: Any) -> None:
        if "synchroniz" in str(message):
            found["sync", line_of_project()] += 1

    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = note
        before = torch.cuda.get_sync_debug_mode()
        torch.cuda.set_sync_debug_mode("warn")
        try:
            yield found
        finally:
            torch.cuda.set_sync_debug_mode(before)
