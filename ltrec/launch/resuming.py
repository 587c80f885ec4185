"""Is this checkpoint one that this run may go on from? Asked before Lightning opens it, so that the answer is one line."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from ltrec.core.errors import UserError
from ltrec.stages.checkpoint_io import read_checkpoint


def refuse_foreign(checkpoint: Path, manifest_digest: str, stage: nn.Module) -> None:
    """Refuse a checkpoint of another program, another data set or another model.

    Raises:
        UserError: naming what differs.
    """
    state = read_checkpoint(checkpoint)
    if "state_dict" not in state or "StreamDataModule" not in state:
        raise UserError(f"{checkpoint} was not written by 'ltrec train'; choose another with resume=...")
    digest = state["StreamDataModule"]["manifest_digest"]
    if digest != manifest_digest:
        raise UserError(
            f"{checkpoint} was trained on another data set (digest {digest[:12]}, here {manifest_digest[:12]}); "
            "choose another name=... or the data it was trained on"
        )
    theirs, mine = ({k: tuple(v.shape) for k, v in tree.items()} for tree in (state["state_dict"], stage.state_dict()))
    if differing := [key for key in sorted(theirs.keys() | mine.keys()) if theirs.get(key) != mine.get(key)]:
        key = differing[0]
        raise UserError(
            f"{checkpoint} holds another model ({key} is {theirs.get(key, 'absent')} there, {mine.get(key, 'absent')} here); "
            "give the model.* settings it was trained with, or choose another name=..."
        )
