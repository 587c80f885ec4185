"""A dense vector of fixed width, such as a text or image embedding: float32, zeros if missing."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import types

from ltrec.columns.kinds.kind import ColumnConfig, Kind, Parsed, Values
from ltrec.columns.kinds.text import is_null
from ltrec.columns.schema import Column
from ltrec.core.bounds import Between, check_fields
from ltrec.core.errors import UserError

_SEPARATORS = re.compile(r"[\s,;|]+")


@dataclass(frozen=True, slots=True)
class VectorConfig(ColumnConfig):
    """Options of a vector."""

    kind: str = "vector"
    """A dense vector of fixed width, such as an embedding of a text or an image."""
    width: Annotated[int, Between(0, 65_536)] = 0
    """Width of the vectors; required."""

    def __post_init__(self) -> None:
        check_fields(self)


class Vector(Kind):
    """A dense vector."""

    roles = ("item",)
    encoder = "ltrec.models.inputs.encoders.vector"

    def __init__(self, options: VectorConfig) -> None:
        if not options.width:
            raise UserError("a column of kind vector needs its width, as in {kind: vector, width: 128}")
        self.options = options
        self.staged = self.storage = pa.list_(pa.field("element", pa.float32(), nullable=False), options.width)

    def parse(self, column: pa.Array, null_values: Sequence[str], what: str) -> Parsed:
        """Lists of numbers, or their text: a JSON list, or numbers separated by blanks or commas."""
        wrong: dict[str, pa.Array] = {}
        if types.is_string(column.type):
            nothing = is_null(column, null_values)
            column, wrong = _of_text(pc.if_else(nothing, None, column))
        if not (types.is_list(column.type) or types.is_large_list(column.type) or types.is_fixed_size_list(column.type)):
            raise UserError(f"{what} has type {column.type}; a vector must be a list of numbers")
        if not (types.is_floating(column.type.value_type) or types.is_integer(column.type.value_type)):
            raise UserError(f"{what} has type {column.type}; a vector must be a list of numbers")
        return self._checked(column, wrong)

    def fault(self, values: Values, column: Column) -> str | None:
        """A wrong width, or non-finite numbers."""
        if values.shape[1:] != (column.size,):
            return f"vectors of {column.name!r} are {values.shape[1:]} wide instead of {column.size}"
        return None if np.isfinite(values).all() else f"a number of {column.name!r} is not finite"

    def _checked(self, column: pa.Array, wrong: dict[str, pa.Array]) -> Parsed:
        """Rows of the right width with finite numbers; other rows are null."""
        width, count = self.options.width, len(column)
        lengths = pc.fill_null(pc.list_value_length(column), -1).to_numpy(zero_copy_only=False)
        right = lengths == width
        flat = column.filter(pa.array(right)).flatten()
        rows = pc.fill_null(flat.cast(pa.float32(), safe=False), np.nan).to_numpy(zero_copy_only=False).reshape(-1, width)
        finite = np.isfinite(rows).all(axis=1)
        place = np.full(count, -1)
        place[right] = np.where(finite, np.arange(len(rows)), -1)
        infinite = np.zeros(count, bool)
        infinite[right] = ~finite
        values = pa.FixedSizeListArray.from_arrays(pa.array(rows.ravel()), type=self.storage)
        values = values.take(pa.array(place, mask=place < 0))
        found = {f"not {width} numbers": pa.array(~right & (lengths >= 0)), "not finite": pa.array(infinite)}
        return Parsed(values, wrong | found)


def _of_text(text: pa.Array) -> tuple[pa.Array, dict[str, pa.Array]]:
    read = [None if t is None else _numbers(t) for t in text.to_pylist()]
    wrong = [t is not None and r is None for t, r in zip(text.to_pylist(), read, strict=True)]
    return pa.array(read, pa.list_(pa.float32())), {"no list of numbers": pa.array(wrong, pa.bool_())}


def _numbers(text: str) -> list[float] | None:
    text = text.strip()
    try:
        found = json.loads(text) if text.startswith("[") else _SEPARATORS.split(text)
        return [float(number) for number in found]
    except (TypeError, ValueError):
        return None
