"""How fast a run goes: what is left of it, and what its steps are made of."""

from __future__ import annotations

import time
from collections import deque
from typing import TypeVar

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback

from ltrec.training.callbacks.health import Health

PHASES = ("loader", "compute", "communication", "optimizer", "other")
"""The parts of a step's time; see training/callbacks/health.py."""

T = TypeVar("T", bound=Callback)


class Pace:
    """How fast optimiser steps go by now: over the last two epochs, validations, checkpoints and all."""

    def __init__(self, steps: int) -> None:
        self._ends: deque[float] = deque(maxlen=2 * steps + 1)

    def tick(self) -> None:
        """A step ended, or the first begins."""
        self._ends.append(time.monotonic())

    def left(self, steps: int) -> float | None:
        """Seconds until so many more steps are done; None before the first."""
        if len(self._ends) < 2:
            return None
        each = (self._ends[-1] - self._ends[0]) / (len(self._ends) - 1)
        return max(0.0, steps * each - (time.monotonic() - self._ends[-1]))


def latest(trainer: pl.Trainer) -> dict[str, float]:
    """The last line on health; empty before the first."""
    health = callback_of(trainer, Health)
    return {} if health is None else health.latest


def anatomy_parts(trainer: pl.Trainer) -> list[str]:
    """What a step takes, waits for, holds and is made of; empty before the first line of metrics.jsonl."""
    if not (line := latest(trainer)):
        return []
    held = line.get("health/device_gib", line["health/rss_gib"])
    shares = [f"{name} {line[key] / line['health/step_ms']:.0%}" for name in PHASES if (key := f"health/{name}_ms") in line]
    waiting = f"{line['health/loader_share']:.0%} waiting"
    return [f"{line['health/step_ms']:,.1f} ms a step", waiting, f"{held:.1f} GiB", *shares[1:]]


def anatomy(trainer: pl.Trainer) -> str:
    """What a step's time was made of, in one line; empty before the first line of metrics.jsonl."""
    if not (line := latest(trainer)):
        return ""
    step = line["health/step_ms"]
    shares = [f"{name} {line[key] / step:.0%}" for name in PHASES if (key := f"health/{name}_ms") in line]
    return f"{line['throughput/events_per_s']:,.0f} events/s; a step takes {step:,.1f} ms: {', '.join(shares)}"


def callback_of(trainer: pl.Trainer, kind: type[T]) -> T | None:
    """The trainer's callback of a kind; None when it has none."""
    return next((callback for callback in trainer.callbacks if isinstance(callback, kind)), None)  # type: ignore[attr-defined]
