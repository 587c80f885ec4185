"""Several categories, such as genres or tags: a list of ids, empty if there are none."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import types

from ltrec.columns.kinds.kind import ColumnConfig, Kind, Parsed, Values, ids_fault
from ltrec.columns.kinds.text import as_text, is_null
from ltrec.columns.schema import Column
from ltrec.core.bounds import INT32, Between, check_fields


@dataclass(frozen=True, slots=True)
class CategoriesConfig(ColumnConfig):
    """Options of a list of categories."""

    kind: str = "categories"
    """Several categories, such as genres or tags: lists, or text with separators."""
    min_count: Annotated[int, Between(1, INT32)] = 1
    """Values of fewer items (with training events) than this are treated as unknown."""
    separator: str = "|"
    """Separator of values in a text; a text that begins with `[` is read as a JSON list."""

    max_values: Annotated[int, Between(1, 4096)] = 64
    """Longest list; longer ones are truncated, and such items are counted. Models store this many ids for every item."""

    def __post_init__(self) -> None:
        check_fields(self)
        if not self.separator:
            raise ValueError("separator is empty; give the text that separates values")


class Categories(Kind):
    """A list of categories."""

    roles = ("item",)
    encoder = "ltrec.models.inputs.encoders.categories"
    staged, storage = pa.list_(pa.string()), pa.list_(pa.field("element", pa.int32(), nullable=False))

    def __init__(self, options: CategoriesConfig) -> None:
        self.options = options

    def parse(self, column: pa.Array, null_values: Sequence[str], what: str) -> Parsed:
        """Lists, or texts that contain several values."""
        nothing = is_null(column, null_values) if types.is_string(column.type) else pc.is_null(column)
        if types.is_string(column.type):
            column = self._split(column)
        if types.is_fixed_size_list(column.type) or types.is_large_list(column.type):
            column = column.cast(pa.list_(column.type.value_type))
        if not types.is_list(column.type):
            column = pa.ListArray.from_arrays(pa.array(np.arange(len(column) + 1, dtype=np.int32)), column)
        return Parsed(pc.if_else(nothing, None, _lists(column, null_values, what)))

    def fault(self, values: Values, column: Column) -> str | None:
        """Ids outside the vocabulary."""
        return ids_fault(values, column)

    def _split(self, text: pa.Array) -> pa.Array:
        return pa.array([self._values(t) for t in text.to_pylist()], pa.list_(pa.string()))

    def _values(self, text: str | None) -> list[str | None] | None:
        if text is None:
            return None
        if text.lstrip().startswith("["):
            try:
                return [None if value is None else str(value) for value in json.loads(text)]
            except ValueError:
                return [text]
        return list(text.split(self.options.separator))


def _lists(column: pa.Array, null_values: Sequence[str], what: str) -> pa.Array:
    """The lists with their elements as text, without nulls and duplicates."""
    parents, text = pc.list_parent_indices(column).to_numpy(), as_text(pc.list_flatten(column), null_values, what)
    valid = np.flatnonzero(text.is_valid().to_numpy(zero_copy_only=False))
    text = text.take(pa.array(valid)).dictionary_encode()
    key = parents[valid].astype(np.int64) * max(1, len(text.dictionary)) + text.indices.to_numpy()
    first = np.sort(np.unique(key, return_index=True)[1])
    counts = np.bincount(parents[valid][first], minlength=len(column))
    offsets = pa.array(np.concatenate([[0], np.cumsum(counts)]).astype(np.int32))
    return pa.ListArray.from_arrays(offsets, text.take(pa.array(first)).cast(pa.string()))
