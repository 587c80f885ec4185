"""Item columns -> the most similar items of each, from one pass over the table of items."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from ltrec.columns.schema import FIRST_VALUE
from ltrec.core.errors import UserError, nearest
from ltrec.core.ragged import I64, prefix_sums
from ltrec.data.columns import item_values
from ltrec.data.manifest import Manifest
from ltrec.data.neighbours.config import ContentConfig
from ltrec.data.neighbours.content import HeldValues, similar_items
from ltrec.data.neighbours.count import made_of
from ltrec.data.neighbours.strongest import Strongest
from ltrec.data.neighbours.table import Neighbours

ALL = "all"
KINDS = ("category", "categories")
"""Kinds of columns whose values two items can have in common."""


def compared_columns(manifest: Manifest, config: ContentConfig) -> tuple[str, ...]:
    """The names of the columns that are compared; none where the data set has none and `all` is asked for.

    Raises:
        UserError: a column that the data set does not have, or whose values cannot be compared.
    """
    known = {name: column.kind in KINDS for name, column in manifest.columns.of("item").items()}
    names = tuple(name for name, comparable in known.items() if comparable)
    if config.columns == (ALL,):
        return names
    for name in config.columns:
        if name not in known:
            raise UserError(f"the data set has no item column {name!r}{nearest(name, known)}; it has {', '.join(known) or 'none'}")
        if not known[name]:
            raise UserError(f"item column {name!r} is no {' or '.join(KINDS)}, so items have none of its values in common")
    return config.columns


def find_similar(folder: Path, manifest: Manifest, config: ContentConfig) -> Neighbours:
    """The items that are most like each, by the values that they have in common.

    Raises:
        UserError: see `compared_columns`; or the table of items is missing or damaged.
    """
    held = _held(folder, manifest, compared_columns(manifest, config))
    strongest = Strongest(manifest.vocab.items, config.neighbours)
    for item, other, similarity in similar_items(held, power=config.power, most_holders=config.most_holders):
        weight = similarity.astype(np.float32)
        seen = weight > 0  # a power may round it away
        strongest.take(item[seen], other[seen], weight[seen])
    return Neighbours(torch.from_numpy(strongest.item_VN), torch.from_numpy(strongest.weight_VN), made_of(manifest, config))


def _held(folder: Path, manifest: Manifest, names: tuple[str, ...]) -> HeldValues:
    """The values of all columns in one numbering; what is missing, unknown or rare is in common with nobody."""
    item, value, count = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)], 0
    for name in names:
        ids, offsets = item_values(folder, manifest, name)
        lengths = np.ones(ids.size, np.int64) if offsets is None else np.diff(offsets)
        holder, ids = np.repeat(np.arange(1, lengths.size + 1), lengths), ids.astype(np.int64)
        known = ids >= FIRST_VALUE
        item.append(holder[known])
        value.append(ids[known] + count)
        count += manifest.columns.of("item")[name].size
    return _distinct(np.concatenate(item), np.concatenate(value), manifest.vocab.items, count)


def _distinct(item: I64, value: I64, num_items: int, count: int) -> HeldValues:
    """Every value of an item once."""
    order = np.lexsort((value, item))
    item, value = item[order], value[order]
    new = np.ones(item.size, bool)
    new[1:] = (item[1:] != item[:-1]) | (value[1:] != value[:-1])
    return HeldValues(value[new], prefix_sums(np.bincount(item[new], minlength=num_items + 1)), count)
