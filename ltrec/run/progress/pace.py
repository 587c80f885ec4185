"""The speed of training: the time left, and the phases of a step."""

from __future__ import annotations

import time
from collections import deque
from typing import TypeVar

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback

from ltrec.training.callbacks.health import Health

PHASES = ("loader", "compute", "communication", "optimizer", "other")
"""Phases of a step; see training/callbacks/health.py."""

T = TypeVar("T", bound=Callback)


class Pace:
    """Time per optimiser step over the last two epochs, including validations and checkpoints."""

    def __init__(self, steps: int) -> None:
        self._ends: deque[float] = deque(maxlen=2 * steps + 1)

    def tick(self) -> None:
        """Record that a step ended, or that the first begins."""
        self._ends.append(time.monotonic())

    def left(self, steps: int) -> float | None:
        """Seconds that `steps` more steps will take; None before the first."""
        if len(self._ends) < 2:
            return None
        each = (self._ends[-1] - self._ends[0]) / (len(self._ends) - 1)
        return max(0.0, steps * each - (time.monotonic() - self._ends[-1]))


def latest(trainer: pl.Trainer) -> dict[str, float]:
    """The latest line of `Health`; empty before the first."""
    health = callback_of(trainer, Health)
    return {} if health is None else health.latest


def step_parts(trainer: pl.Trainer) -> list[str]:
    """Time per step, time spent waiting for data, memory and shares of the phases; empty before the first line of metrics.jsonl."""
    if not (line := latest(trainer)):
        return []
    held = line.get("health/device_gib", line["health/rss_gib"])
    shares = [f"{name} {line[key] / line['health/step_ms']:.0%}" for name in PHASES if (key := f"health/{name}_ms") in line]
    waiting = f"{line['health/loader_share']:.0%} waiting"
    return [f"{line['health/step_ms']:,.1f} ms a step", waiting, f"{held:.1f} GiB", *shares[1:]]


def step_breakdown(trainer: pl.Trainer) -> str:
    """Throughput and the phases of a step in one line; empty before the first line of metrics.jsonl."""
    if not (line := latest(trainer)):
        return ""
    step = line["health/step_ms"]
    shares = [f"{name} {line[key] / step:.0%}" for name in PHASES if (key := f"health/{name}_ms") in line]
    return f"{line['throughput/events_per_s']:,.0f} events/s; a step takes {step:,.1f} ms: {', '.join(shares)}"


def callback_of(trainer: pl.Trainer, kind: type[T]) -> T | None:
    """The trainer's callback of a type, or None."""
    return next((callback for callback in trainer.callbacks if isinstance(callback, kind)), None)  # type: ignore[attr-defined]
