"""What a checkpoint of training holds. A whole archive may hold something else; whoever relies on a key of it asks here first."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from ltrec.core.errors import UserError

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
}


def refuse_other_form(path: Path, state: Mapping[str, Any]) -> None:
    """Refuse what `ltrec train` cannot have written.

    Raises:
        UserError: naming the first key that is missing or of another kind.
    """
    shards = {"zero": dict} if "zero" in state else {"optimizer_states": list}  # DeepSpeed keeps optimiser states beside it
    for key, kind in (_FORM | shards).items():
        if not isinstance(state.get(key), kind):
            found = f"{key} is a {type(state[key]).__name__}" if key in state else f"{key} is missing"
            raise UserError(f"{path} was not written by 'ltrec train' ({found}); use another checkpoint")
    if other := [name for name, value in state["state_dict"].items() if not isinstance(value, Tensor)]:
        raise UserError(f"{path} was not written by 'ltrec train' (state_dict[{other[0]!r}] is no tensor); use another checkpoint")
