"""The type of every user's target, if the data set declares several (`prepare.targets`).

A purchase is not a return, and a metric over both is not meaningful for either.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ltrec.columns.schema import FIRST_VALUE
from ltrec.core import columns as c
from ltrec.data.columns import vocabulary_of
from ltrec.data.manifest import Manifest
from ltrec.data.stream.reading.blocks import blocks_of
from ltrec.data.stream.reading.histories import SPLITS
from ltrec.data.stream.reading.rows import int_column, list_column
from ltrec.data.stream.reading.shards import ShardReader

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class TargetTypes:
    """Types of one split's targets.

    Attributes:
        names: such as ``event_type=purchase``; the first is empty: not of any declared type.
        key_U: of the users with a target, ascending.
        type_U: places in `names`.
    """

    names: tuple[str, ...]
    key_U: Ints
    type_U: Ints

    def of(self, key_N: Ints) -> list[str]:
        """Names of users' targets by key."""
        place_N = np.minimum(np.searchsorted(self.key_U, key_N), max(0, self.key_U.size - 1))
        type_N = np.where(self.key_U[place_N] == key_N, self.type_U[place_N], 0) if self.key_U.size else np.zeros_like(key_N)
        return [self.names[number] for number in type_N.tolist()]


def declared_types(manifest: Manifest) -> dict[str, Sequence[int]]:
    """Event column -> ids of the values that make a target; columns with a single one, and sets without, are left out."""
    return {name: ids for name, ids in manifest.targets.items() if len(ids) > 1}


def read_target_types(folder: Path, manifest: Manifest, split: str) -> TargetTypes | None:
    """The types of a split's targets, by the first column that declares several; None if none does.

    Raises:
        UserError: a shard or the column's vocabulary is missing or damaged.
    """
    declared = declared_types(manifest)
    if not declared:
        return None
    name, ids = next(iter(declared.items()))
    values = vocabulary_of(folder, manifest, manifest.columns.of("event")[name])
    key_U, value_U = _values_at_targets(folder, manifest, c.EVENT + name, SPLITS[split])
    known = np.array(sorted(ids), np.int64)
    place_U = np.searchsorted(known, value_U)
    type_U = np.where(known[np.minimum(place_U, known.size - 1)] == value_U, place_U + 1, 0)
    return TargetTypes(("", *(f"{name}={values[number - FIRST_VALUE]}" for number in known.tolist())), key_U, type_U)


def _values_at_targets(folder: Path, manifest: Manifest, column: str, at_column: str) -> tuple[Ints, Ints]:
    """Keys of the users with a target, ascending, and an event column's value at it; three columns of every block are read."""
    files, blocks = ShardReader(folder, manifest), blocks_of(manifest, range(len(manifest.shards)))
    keys, values = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for shard, group in zip(blocks.shard.tolist(), blocks.group.tolist(), strict=True):
        table = files.read(shard, group, [c.USER_KEY, at_column, column])
        (value_T, offsets), at_R = list_column(table, column), int_column(table, at_column)
        rows = np.flatnonzero(at_R >= 0)
        keys.append(int_column(table, c.USER_KEY)[rows])
        values.append(value_T[offsets[rows] + at_R[rows]].astype(np.int64))
    key_U, value_U = np.concatenate(keys), np.concatenate(values)
    order = np.argsort(key_U, kind="stable")
    return key_U[order], value_U[order]
