"""A number, such as a price or seconds of attention: float32, NaN where it is missing, never infinite."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import types

from ltrec.columns.kinds.kind import ColumnConfig, Kind, Parsed, Values
from ltrec.columns.kinds.text import is_null
from ltrec.columns.schema import Column
from ltrec.columns.statistics import Moments
from ltrec.core.bounds import check_fields
from ltrec.core.errors import UserError

_NUMBER = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$"
_INFINITE = r"(?i)^[+-]?inf(inity)?$"


@dataclass(frozen=True, slots=True)
class NumberConfig(ColumnConfig):
    """Options of a number."""

    kind: str = "number"
    """A number, such as a price or seconds of attention."""
    log: bool = False
    """Models see sign(x) log(1 + |x|): for amounts that span several orders of magnitude."""
    unit: str = ""
    """Unit of its values, for display."""

    def __post_init__(self) -> None:
        check_fields(self)


class Number(Kind):
    """A number."""

    encoder = "ltrec.models.inputs.encoders.number"
    staged = storage = pa.float32()
    missing = float("nan")

    def __init__(self, options: NumberConfig) -> None:
        self.options = options

    def parse(self, column: pa.Array, null_values: Sequence[str], what: str) -> Parsed:
        """Numbers of any type, or their text."""
        return numbers(column, null_values, what)

    def statistics(self) -> Moments:
        """Of the numbers and, with the option `log`, of their logarithms."""
        return Moments(self.options.log)

    def fault(self, values: Values, column: Column) -> str | None:
        """Infinite numbers."""
        return f"an infinite number of {column.name!r}" if np.isinf(values).any() else None


def numbers(column: pa.Array, null_values: Sequence[str], what: str) -> Parsed:
    """float32 [N], null where a number is missing or invalid.

    Raises:
        UserError: a type that cannot hold numbers.
    """
    faults = {}
    if types.is_string(column.type):
        text = pc.utf8_trim_whitespace(column)
        text = pc.if_else(is_null(text, null_values), None, text)
        good, infinite = pc.match_substring_regex(text, _NUMBER), pc.match_substring_regex(text, _INFINITE)
        faults = {"no number": pc.fill_null(pc.invert(pc.or_(good, infinite)), False)}
        column = pc.if_else(infinite, "inf", pc.if_else(good, pc.utf8_ltrim(text, "+"), None))
    elif not (types.is_integer(column.type) or types.is_floating(column.type) or types.is_decimal(column.type)):
        if not (types.is_boolean(column.type) or types.is_null(column.type)):
            raise UserError(f"{what} has type {column.type}; a number must be a number or its text")
        column = column.cast(pa.int8())
    values = pc.cast(column.cast(pa.float64()), pa.float32(), safe=False)
    infinite = pc.fill_null(pc.is_inf(values), False)
    return Parsed(pc.if_else(pc.is_finite(values), values, None), {**faults, "infinite": infinite})
