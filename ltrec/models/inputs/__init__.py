"""Inputs: what a backbone knows of items, events and users besides ids, as vectors of its width.

    item vector    = id vector + sum over item columns of share * embed(value)    for history, targets, negatives, catalogue alike
    event's vector = item vector + sum over event and user columns of share * embed(value) + embed(time since the event before)

So a score stays an inner product of a state with one table, whatever an item is made of. A backbone takes an `Inputs`, which says
which columns there are, and makes its `items` and `events` of it; without columns these are the id vectors alone, and nothing.

item_vectors.py   what `items` offers; id vectors alone
column_items.py   id vectors and columns
events.py         what is added to the vectors of a history
choice.py         which columns, and what embeds each: `Inputs`
config.py         what a user may say
gated.py          how much of a column is listened to
categories.py     a category, and a bag of categories
number.py         a number
frozen.py         a vector that is given
times.py          logarithmic buckets of time, the gap between events, moments
encoders.py       which of these a kind of column gets
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
