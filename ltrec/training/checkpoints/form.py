"""The contents of a training checkpoint. An intact archive may be another file, so code that needs a key checks here first."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from ltrec.core.errors import UserError

AVERAGE = "average"
"""Key of the average of the weights (see callbacks/weight_average)."""

_FORM: dict[str, type] = {
    "state_dict": dict,
    "global_step": int,
    "epoch": int,
    "loops": dict,
    "callbacks": dict,
    "lr_schedulers": list,
    "StreamDataModule": dict,
    "metrics_bytes": int,
    "metrics_digest": str,
    "run": dict,
    "pytorch-lightning_version": str,
    "StreamDataModule.manifest_digest": str,
    "run.run_id": str,
    "run.config": str,
    "run.total_steps": int,
    "run.epochs": float,
    "run.validated": dict,
    "run.stopped": bool,
}
"""Keys, with a dot for one inside another, and what they hold."""

_AVERAGE: dict[str, type] = {"average": dict, "average.updates": int, "average.state_dict": dict}
"""Key of averaged weights, if there are any: see `weight_average`."""

_MISSING = object()


def refuse_other_form(path: Path, state: Mapping[str, Any]) -> None:
    """Refuse what `ltrec train` cannot have written.

    Raises:
        UserError: naming the first key that is missing or of another kind.
    """
    partitions = {"zero": dict} if "zero" in state else {"optimizer_states": list}  # DeepSpeed keeps optimiser states beside it
    form = _FORM | partitions | (_AVERAGE if "average" in state else {})
    found = next((f"{key} {fault}" for key, kind in form.items() if (fault := _fault(state, key, kind))), None)
    found = found or _fault_inside(state)
    if found is not None:
        raise UserError(f"{path} was not written by 'ltrec train' ({found}); use another checkpoint")


def _fault(state: Mapping[str, Any], key: str, kind: type) -> str | None:
    outer, _, inner = key.partition(".")
    value = state.get(outer, _MISSING) if not inner else state[outer].get(inner, _MISSING)
    if value is _MISSING:
        return "is missing"
    right = isinstance(value, kind) and (kind is bool or not isinstance(value, bool))
    return None if right else f"is a {type(value).__name__}"


def _fault_inside(state: Mapping[str, Any]) -> str | None:
    weights = state["state_dict"]
    for name, value in weights.items():
        if not isinstance(value, Tensor):
            return f"state_dict[{name!r}] is a {type(value).__name__}"
    if "average" in state and (fault := _fault_of_average(state["average"], weights)):
        return fault
    for name, pair in state["run"]["validated"].items():
        if not (isinstance(pair, tuple) and [type(value) for value in pair] == [int, float]):
            return f"run.validated[{name!r}] is not a step and value"
    return None


def _fault_of_average(average: Mapping[str, Any], weights: Mapping[str, Tensor]) -> str | None:
    if average["updates"] < 0:
        return f"average.updates is {average['updates']}"
    averaged = average["state_dict"]
    for name in sorted(averaged.keys() | weights.keys()):
        mine, theirs = weights.get(name), averaged.get(name)
        if mine is None or not isinstance(theirs, Tensor) or theirs.shape != mine.shape or theirs.dtype != mine.dtype:
            return f"average.state_dict[{name!r}] is not like the weights'"
    return None
