"""Learning rate as a pure function of the step: resume needs no scheduler state."""

from __future__ import annotations

import math
from collections.abc import Callable

from ltrec.core.errors import UserError, nearest

# Each maps progress through the decay phase, 0..1, to a factor 1..0 that is then lifted to `final_ratio`.
CONSTANT = "constant"
"""The one that does not ask how long training is."""

SCHEDULES: dict[str, Callable[[float], float]] = {
    CONSTANT: lambda _: 1.0,
    "linear": lambda progress: 1.0 - progress,
    "cosine": lambda progress: 0.5 * (1.0 + math.cos(math.pi * progress)),
}


def schedule(name: str, *, warmup_steps: int, total_steps: int, final_ratio: float) -> Callable[[int], float]:
    """Return step -> factor of the peak learning rate, for step = 0 .. total_steps - 1.

    Raises:
        UserError: for an unknown schedule name.
    """
    if name not in SCHEDULES:
        raise UserError(f"unknown optim.schedule {name!r}{nearest(name, SCHEDULES)}; known: {', '.join(SCHEDULES)}")
    decay = SCHEDULES[name]

    def factor(step: int) -> float:
        if step < warmup_steps:
            return (step + 1) / (warmup_steps + 1)
        progress = min(1.0, (step - warmup_steps) / max(1, total_steps - 1 - warmup_steps))
        return final_ratio + (1.0 - final_ratio) * decay(progress)

    return factor
