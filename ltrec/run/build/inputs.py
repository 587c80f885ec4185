"""Names of columns become a model's inputs, and what the stream has to read for them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from ltrec.columns.kinds import kind_of_column
from ltrec.columns.names import unknown_column
from ltrec.columns.schema import Column, Projection, Role
from ltrec.core.columns import ALL, TIME
from ltrec.core.errors import UserError
from ltrec.data.columns import item_values
from ltrec.data.manifest import Manifest
from ltrec.data.stream.reading.vocabulary import Vocabulary
from ltrec.models.inputs import NO_INPUTS, ColumnInput, Inputs, InputsConfig, ItemColumnInput
from ltrec.models.inputs.config import TIME_GAP

_SECTIONS: dict[Role, str] = {"item": "items", "event": "events", "user": "users"}


def build_inputs(config: InputsConfig, folder: Path, manifest: Manifest, vocabulary: Vocabulary) -> Inputs:
    """The inputs of a backbone besides ids: the configured columns of the data set.

    Raises:
        UserError: a column that the data set has not.
    """
    if not config:
        return NO_INPUTS
    return Inputs(
        items=tuple(
            ItemColumnInput(name, _embed(column), _values(folder, manifest, name))
            for name, column in configured_columns(config, manifest, "item").items()
        ),
        events=tuple(ColumnInput(name, _embed(column)) for name, column in configured_columns(config, manifest, "event").items()),
        users=tuple(ColumnInput(name, _embed(column)) for name, column in configured_columns(config, manifest, "user").items()),
        time_gap=TIME_GAP in config.events,
        trained=vocabulary.train_count > 0,
        id_dropout=config.id_dropout,
        id_neighbours=config.id_neighbours,
    )


def competing_items(train_count: Tensor) -> Tensor | None:
    """Items that take part in the loss if items have columns: those with training events; None = all.

    The others have no id vector, and as negatives they would teach that what they share with others is unwanted.
    """
    among = (train_count[1:] > 0).nonzero()[:, 0] + 1
    return None if among.numel() == train_count.numel() - 1 else among


def projection_of(config: InputsConfig, manifest: Manifest, *, times: bool = False) -> Projection:
    """The columns of events and users that the stream must read.

    Args:
        config: the run's.
        manifest: of its data.
        times: whether the model itself uses times.

    Raises:
        UserError: a column that the data set has not.
    """
    events = tuple(configured_columns(config, manifest, "event"))
    needs_time = times or TIME_GAP in config.events
    return Projection((*events, TIME) if needs_time else events, tuple(configured_columns(config, manifest, "user")))


def configured_columns(config: InputsConfig, manifest: Manifest, role: Role) -> dict[str, Column]:
    """The configured columns of a role, in the order of the data set.

    Raises:
        UserError: a column that the data set has not.
    """
    section, known = _SECTIONS[role], manifest.columns.of(role)
    names = [name for name in getattr(config, section) if name != TIME_GAP or role != "event"]
    if names and not known:
        raise UserError(
            f"inputs.{section}={','.join(names)}: data set {manifest.name!r} has no {role} columns; declare them in the config of "
            "ltrec prepare and prepare it again with --overwrite, or take the key out"
        )
    for name in names:
        if name not in known and name != ALL:
            raise unknown_column(f"inputs.{section}: data set {manifest.name!r}", role, name, known)
    return {name: column for name, column in known.items() if name in names or ALL in names}


def _embed(column: Column) -> Callable[[int], nn.Module]:
    return partial(kind_of_column(column).embed, column)


def _values(folder: Path, manifest: Manifest, name: str) -> Tensor:
    """Values of all items [V+1, ...]; row 0 is padding, and lists of ids are padded with 0 to the longest."""
    values, starts = item_values(folder, manifest, name)
    if starts is not None:
        lengths = np.diff(starts)
        there = np.arange(int(lengths.max(initial=1)) or 1) < lengths[:, None]
        padded = np.zeros(there.shape, values.dtype)
        padded[there] = values
        values = padded
    of_items = torch.zeros(len(values) + 1, *values.shape[1:], dtype=torch.from_numpy(values[:0]).dtype)
    of_items[1:] = torch.from_numpy(values)
    return of_items
