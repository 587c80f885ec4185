"""Checks that a checkpoint belongs to the data set and the model, before it is resumed or scored with."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from ltrec.core.errors import UserError
from ltrec.distributed.strategies import STRATEGIES, names_with
from ltrec.training.checkpoints.form import refuse_other_form

_RESUMED = (
    "choose another name=... or the data it was trained on; over data that were appended to those, a run goes on as a new one, "
    "with init_from=RUN"
)


def refuse_incompatible(checkpoint: Path, state: dict[str, Any], manifest_digest: str, module: nn.Module) -> None:
    """Refuse a checkpoint of another program, another data set or another model.

    Args:
        checkpoint: its path, for the message.
        state: its contents.
        manifest_digest: of the data set.
        module: the model, whose state has the names of the checkpoint.

    Raises:
        UserError: naming what differs.
    """
    refuse_other_data(checkpoint, state, manifest_digest, way_out=_RESUMED)
    refuse_other_model(checkpoint, state["state_dict"], module)


def refuse_other_model(checkpoint: Path, weights: Mapping[str, Tensor], module: nn.Module) -> None:
    """Refuse weights of another model.

    Args:
        checkpoint: where they are from, for the message.
        weights: by name.
        module: the model, whose state has the same names.

    Raises:
        UserError: naming the first that differs.
    """
    if (difference := first_difference_of_shapes(weights, module)) is not None:
        raise UserError(
            f"{checkpoint} holds another model ({difference}); give the model.* settings it was trained with, or choose another "
            "name=..."
        )


def first_difference_of_shapes(weights: Mapping[str, Tensor], module: nn.Module) -> str | None:
    """The first parameter or buffer, by name, whose shape differs between weights and a module, with both shapes; None if none."""
    there, here = ({name: tuple(value.shape) for name, value in tree.items()} for tree in (weights, module.state_dict()))
    for name in sorted(there.keys() | here.keys()):
        if there.get(name) != here.get(name):
            return f"{name} is {there.get(name, 'absent')} there, {here.get(name, 'absent')} here"
    return None


def refuse_other_data(
    checkpoint: Path, state: dict[str, Any], manifest_digest: str, *, way_out: str, ancestors: Collection[str] = ()
) -> None:
    """Refuse a checkpoint of another program or another data set.

    Args:
        checkpoint: its path, for the message.
        state: its contents.
        manifest_digest: of the data set.
        way_out: what the user can do.
        ancestors: digests of other data sets that will do.

    Raises:
        UserError: naming what differs.
    """
    refuse_other_form(checkpoint, state)
    digest = str(state["StreamDataModule"].get("manifest_digest"))
    if digest not in (manifest_digest, *ancestors):
        raise UserError(
            f"{checkpoint} was trained on another data set (digest {digest[:12]}, here {manifest_digest[:12]}); {way_out}"
        )


def refuse_partitions(checkpoint: Path, state: dict[str, Any], strategy: str) -> None:
    """Refuse a checkpoint with the optimiser partitions of DeepSpeed, unless DeepSpeed resumes it (and checks the rest).

    Args:
        checkpoint: its path, for the message.
        state: its contents.
        strategy: of the run, by its registered name.

    Raises:
        UserError: naming the strategy that can resume it.
    """
    zero = state.get("zero")
    if zero is not None and STRATEGIES[strategy].zero_stage is None:
        raise UserError(
            f"{checkpoint} was written in {zero.get('world_size')} processes by "
            f"strategy {', '.join(names_with(zero_stage=zero.get('stage')))} and {strategy} cannot resume it; "
            "choose another name=..., or that strategy"
        )
