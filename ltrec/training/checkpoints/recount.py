"""A run may resume with another number of micro-batches per step; Lightning counts micro-batches, so its count is converted.

Lightning ends an accumulation where its count of the epoch's batches is a multiple of `accumulate_grad_batches`. Left as it was,
the count of a checkpoint written under another number would end accumulations in the middle of the stream's steps.
"""

from __future__ import annotations

from typing import Any

_BATCHES = "epoch_loop.batch_progress"
_STEPS = "epoch_loop.automatic_optimization.optim_progress"


def recount_batches(checkpoint: dict[str, Any], accumulate: int) -> None:
    """Rewrite the loop counters of a checkpoint for another `accumulate`: how many micro-batches of the epoch are done."""
    loop = checkpoint["loops"]["fit_loop"]
    batches, steps = loop[_BATCHES]["current"], loop[_STEPS]["optimizer"]["step"]["current"]["ready"]
    done = batches["ready"]
    if steps and done != steps * accumulate:
        loop[_BATCHES]["current"] = {name: steps * accumulate - (done - count) for name, count in batches.items()}
