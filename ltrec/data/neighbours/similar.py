"""Item columns -> the most similar items of each, from one pass over the item table."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from ltrec.columns.kinds import kind_of_column
from ltrec.columns.names import unknown_column
from ltrec.columns.schema import FIRST_VALUE
from ltrec.core.columns import ALL
from ltrec.core.errors import UserError
from ltrec.core.ragged import distinct_pairs, prefix_sums
from ltrec.data.columns import item_values
from ltrec.data.manifest import Manifest
from ltrec.data.neighbours.config import ContentConfig
from ltrec.data.neighbours.content import HeldValues, similar_items
from ltrec.data.neighbours.count import made_of
from ltrec.data.neighbours.strongest import Strongest
from ltrec.data.neighbours.table import Neighbours


def compared_columns(manifest: Manifest, config: ContentConfig) -> tuple[str, ...]:
    """The names of the columns to compare; empty if the config says `all` and the data set has none.

    Raises:
        UserError: a column that the data set does not have, or whose values cannot be compared.
    """
    known = {name: kind_of_column(column).is_categorical for name, column in manifest.columns.of("item").items()}
    names = tuple(name for name, comparable in known.items() if comparable)
    if config.columns == (ALL,):
        return names
    for name in config.columns:
        if name not in known:
            raise unknown_column("the data set", "item", name, known)
        if not known[name]:
            raise UserError(f"item column {name!r} is not of kind category or categories, so items cannot share its values")
    return config.columns


def find_similar(folder: Path, manifest: Manifest, config: ContentConfig) -> Neighbours:
    """The most similar items of every item, by the values that they share.

    Raises:
        UserError: see `compared_columns`; or the item table is missing or damaged.
    """
    held = _held(folder, manifest, compared_columns(manifest, config))
    strongest = Strongest(manifest.vocab.items, config.neighbours)
    for item, other, similarity in similar_items(held, power=config.power, most_holders=config.most_holders):
        weight = similarity.astype(np.float32)
        seen = weight > 0  # a power may round it away
        strongest.take(item[seen], other[seen], weight[seen])
    return Neighbours(torch.from_numpy(strongest.item_VN), torch.from_numpy(strongest.weight_VN), made_of(manifest, config))


def _held(folder: Path, manifest: Manifest, names: tuple[str, ...]) -> HeldValues:
    """Values of all columns in one numbering; missing, unknown and rare values are left out, since no items share them."""
    item, value, count = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)], 0
    for name in names:
        ids, offsets = item_values(folder, manifest, name)
        lengths = np.ones(ids.size, np.int64) if offsets is None else np.diff(offsets)
        holder, ids = np.repeat(np.arange(1, lengths.size + 1), lengths), ids.astype(np.int64)
        known = ids >= FIRST_VALUE
        item.append(holder[known])
        value.append(ids[known] + count)
        count += manifest.columns.of("item")[name].size
    holder, held = distinct_pairs(np.concatenate(item), np.concatenate(value))
    return HeldValues(held, prefix_sums(np.bincount(holder, minlength=manifest.vocab.items + 1)), count)
