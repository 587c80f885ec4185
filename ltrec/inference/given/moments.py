"""From raw times to the order of events, in full resolution, and to seconds for models that use times."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import types

from ltrec.columns.kinds.time import Time, TimeConfig
from ltrec.core.errors import UserError
from ltrec.core.ragged import I64

_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
Order = npt.NDArray[Any]


def plain_times(column: pa.Array, what: str, place: Callable[[int], str]) -> pa.Array:
    """Times [N] as integers, floats or timestamps; texts are parsed.

    Raises:
        UserError: a type that holds no times, or an entry that is not a time.
    """
    kind = column.type
    if types.is_date(kind):
        column = column.cast(pa.timestamp("s" if kind == pa.date32() else "ms"))
    elif types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind):
        column = _of_text(column.cast(pa.string()))
    elif not (types.is_timestamp(kind) or types.is_integer(kind) or types.is_floating(kind)):
        raise UserError(f"{what} has type {kind}; times are numbers, dates, timestamps or ISO 8601 texts")
    good = pc.is_valid(column).to_numpy(zero_copy_only=False)
    if types.is_floating(column.type):
        good &= pc.fill_null(pc.is_finite(column), False).to_numpy(zero_copy_only=False)
    if not good.all():
        raise UserError(f"{place(int(np.flatnonzero(~good)[0]))}: its time is missing, or no time")
    return column


def order_of(times: pa.Array) -> Order:
    """Numbers [N] with the order of times, from `plain_times`."""
    order: Order = (times.cast(pa.int64()) if types.is_timestamp(times.type) else times).to_numpy(zero_copy_only=False)
    return order


def seconds_of(times: pa.Array, unit: str, what: str) -> I64:
    """Seconds [N] in the unit of the data set, from `plain_times`.

    Args:
        times: of the events.
        unit: of the numbers in the log that was prepared: s, ms, us, ns, or order; otherwise it had texts or dates.
        what: the column, for messages.

    Raises:
        UserError: numbers, and the log had none.
    """
    if types.is_timestamp(times.type):
        per_second = _PER_SECOND[times.type.unit]
    elif unit == "order":
        per_second = 1
    elif unit in _PER_SECOND:
        per_second = _PER_SECOND[unit]
    else:
        raise UserError(f"{what} holds numbers, but the times of the log were none; give timestamps or ISO 8601 texts")
    return np.floor_divide(order_of(times), per_second).astype(np.int64)


def _of_text(text: pa.Array) -> pa.Array:
    """Numbers, if all of them are; else timestamps, null for invalid text."""
    for kind in (pa.int64(), pa.float64(), pa.timestamp("us"), pa.timestamp("us", "UTC")):
        try:
            return text.cast(kind)
        except pa.ArrowInvalid:
            continue
    return Time(TimeConfig()).parse(text, (), "").values.cast(pa.timestamp("s"))
