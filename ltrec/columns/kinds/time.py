"""A point in time, such as a sign-up or a release date: int64 seconds since 1970."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import types

from ltrec.columns.kinds.kind import ColumnConfig, Kind, Parsed, Values
from ltrec.columns.kinds.text import is_null
from ltrec.columns.schema import Column
from ltrec.core.bounds import check_fields
from ltrec.core.columns import NO_TIME
from ltrec.core.errors import UserError

_LONGEST = 1 << 40  # seconds: 35,000 years either way
_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}


@dataclass(frozen=True, slots=True)
class TimeConfig(ColumnConfig):
    """Options of a time."""

    kind: str = "time"
    """A point in time: seconds since 1970."""
    unit: Literal["s", "ms", "us", "ns"] = "s"
    """Unit of numeric times, which count from 1970. Dates, ISO 8601 texts and typed timestamps need none."""

    def __post_init__(self) -> None:
        check_fields(self)


class Time(Kind):
    """A time."""

    encoder = "ltrec.models.inputs.encoders.time"
    staged = storage = pa.int64()
    missing = NO_TIME

    def __init__(self, options: TimeConfig) -> None:
        self.options = options

    def parse(self, column: pa.Array, null_values: Sequence[str], what: str) -> Parsed:
        """Integers, floats, dates, timestamps, or their text."""
        kind = column.type
        if types.is_string(kind):
            nothing = is_null(column, null_values)
            values = self._of_text(pc.if_else(nothing, None, pc.utf8_trim_whitespace(column)))
            wrong = pc.and_(pc.is_null(values), pc.and_(pc.is_valid(column), pc.invert(nothing)))
            return Parsed(values, {"no time": wrong})
        if types.is_timestamp(kind) or types.is_date(kind):
            return Parsed(_seconds(column.cast(pa.timestamp(getattr(kind, "unit", "ms"))).cast(pa.timestamp("s"), safe=False)))
        if types.is_integer(kind) or types.is_floating(kind) or types.is_null(kind):
            return self._of_numbers(column)
        raise UserError(f"{what} has type {kind}; a time must be a number, a date, a timestamp or the text of one")

    def fault(self, values: Values, column: Column) -> str | None:
        """Times that are impossibly far away."""
        there = values[values != NO_TIME]
        return f"a time of {column.name!r} beyond all years" if there.size and np.abs(there).max() > _LONGEST else None

    def _of_numbers(self, column: pa.Array) -> Parsed:
        seconds = pc.floor(pc.divide(column.cast(pa.float64()), float(_PER_SECOND[self.options.unit])))
        fits = pc.less_equal(pc.abs(seconds), float(_LONGEST))
        nothing = pc.or_kleene(pc.is_null(column, nan_is_null=True), False)
        return Parsed(pc.if_else(fits, seconds, None).cast(pa.int64()), {"no time": pc.and_(pc.invert(fits), pc.invert(nothing))})

    def _of_text(self, text: pa.Array) -> pa.Array:
        try:
            return _seconds(text.cast(pa.timestamp("us", "UTC")).cast(pa.timestamp("s", "UTC"), safe=False))
        except pa.ArrowInvalid:
            return pa.array([None if t is None else self._of_one(t) for t in text.to_pylist()], pa.int64())

    def _of_one(self, text: str) -> int | None:
        try:
            seconds = float(text) // _PER_SECOND[self.options.unit]
            return int(seconds) if abs(seconds) <= _LONGEST else None
        except ValueError:
            pass
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            return None
        return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() // 1)


def _seconds(column: pa.Array) -> pa.Array:
    return column.cast(pa.int64())
