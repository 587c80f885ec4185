"""Learning rate as a pure function of the step: resume needs no scheduler state."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from ltrec.core.extension.registry import Registry, Row

CONSTANT = "constant"


@dataclass(frozen=True, slots=True, kw_only=True)
class Decay(Row):
    """A row of `SCHEDULES`; `build` maps progress through the decay phase, 0..1, to a factor that is then lifted to `final_ratio`.

    Attributes:
        needs_length: it falls towards the end of training, whose length it needs.
    """

    build: Callable[[float], float]
    needs_length: bool = True


def constant(progress: float) -> float:  # noqa: ARG001
    """No decay."""
    return 1.0


def linear(progress: float) -> float:
    """A straight line to 0."""
    return 1.0 - progress


def cosine(progress: float) -> float:
    """Half a cosine wave to 0."""
    return 0.5 * (1.0 + math.cos(math.pi * progress))


SCHEDULES: Registry[Decay] = Registry("optim.schedule", Decay)
SCHEDULES.register(CONSTANT, build=constant, needs_length=False)
SCHEDULES.register("linear", build=linear)
SCHEDULES.register("cosine", build=cosine)


def schedule(name: str, *, warmup_steps: int, total_steps: int, final_ratio: float) -> Callable[[int], float]:
    """Return step -> factor of the peak learning rate, for step = 0 .. total_steps - 1.

    Raises:
        UserError: for an unknown schedule name.
    """
    decay = SCHEDULES[name].build

    def factor(step: int) -> float:
        if step < warmup_steps:
            return (step + 1) / (warmup_steps + 1)
        progress = min(1.0, (step - warmup_steps) / max(1, total_steps - 1 - warmup_steps))
        return final_ratio + (1.0 - final_ratio) * decay(progress)

    return factor
