"""Inputs: columns of items, events and users as vectors of the backbone's width.

    item vector    = id vector + sum over item columns of share * embed(value)
    event vector   = item vector + sum over event and user columns of share * embed(value) + embed(time since the previous event)

Item vectors are the same for histories, targets, negatives and the catalogue, so a score is still an inner product of a state and a
row of one table. A backbone takes an `Inputs`, which lists the columns, and builds its `items` and `events` from it; without
columns these are plain id vectors, and None.

item_vectors.py   the interface of `items`; plain id vectors
column_items.py   id vectors and columns
borrowed_ids.py   id vectors for items that have none
events.py         vectors that are added to those of a history
choice.py         the columns and their embeddings: `Inputs`
config.py         options
gated.py          a learned scale for every column
categories.py     embeddings of a category and of a list of categories
number.py         embedding of a number
frozen.py         projection of a given vector
times.py          time gaps in logarithmic buckets, and points in time
encoders.py       the embedding of every kind of column
alone.py          what a pass by segments computes segment by segment
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ltrec.core.extension.deferred import names_of
from ltrec.models.inputs.config import InputsConfig

if TYPE_CHECKING:
    from ltrec.models.inputs.categories import Bag, CategoryEmbedding
    from ltrec.models.inputs.choice import NO_INPUTS, ColumnInput, Inputs, ItemColumnInput
    from ltrec.models.inputs.column_items import ColumnItems
    from ltrec.models.inputs.events import EventInputs
    from ltrec.models.inputs.frozen import Frozen
    from ltrec.models.inputs.item_vectors import IdVectors, ItemVectors, layers_of
    from ltrec.models.inputs.number import NumberNet
    from ltrec.models.inputs.times import Moment, TimeGap

if not TYPE_CHECKING:
    __getattr__ = names_of(
        __name__,
        {
            "Bag": "ltrec.models.inputs.categories",
            "CategoryEmbedding": "ltrec.models.inputs.categories",
            "NO_INPUTS": "ltrec.models.inputs.choice",
            "ColumnInput": "ltrec.models.inputs.choice",
            "Inputs": "ltrec.models.inputs.choice",
            "ItemColumnInput": "ltrec.models.inputs.choice",
            "ColumnItems": "ltrec.models.inputs.column_items",
            "EventInputs": "ltrec.models.inputs.events",
            "Frozen": "ltrec.models.inputs.frozen",
            "IdVectors": "ltrec.models.inputs.item_vectors",
            "ItemVectors": "ltrec.models.inputs.item_vectors",
            "layers_of": "ltrec.models.inputs.item_vectors",
            "NumberNet": "ltrec.models.inputs.number",
            "Moment": "ltrec.models.inputs.times",
            "TimeGap": "ltrec.models.inputs.times",
        },
    )

__all__ = [
    "NO_INPUTS",
    "Bag",
    "CategoryEmbedding",
    "ColumnInput",
    "ColumnItems",
    "EventInputs",
    "Frozen",
    "IdVectors",
    "Inputs",
    "InputsConfig",
    "ItemColumnInput",
    "ItemVectors",
    "Moment",
    "NumberNet",
    "TimeGap",
    "layers_of",
]
