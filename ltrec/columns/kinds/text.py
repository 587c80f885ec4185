"""Values of any scalar type as text in a normal form: 3 and 3.0 are equal, and surrounding blanks are ignored."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import types

from ltrec.core.errors import UserError

_WHOLE = r"^(-?(?:0|[1-9][0-9]*))\.0*$"
LONGEST = 1000
"""Most characters of a category. Longer values are probably free text."""


def as_text(column: pa.Array, null_values: Sequence[str], what: str) -> pa.Array:
    """Text [N], null where a value is missing.

    Raises:
        UserError: a type that cannot be a category, such as a list.
    """
    kind = column.type
    if types.is_nested(kind) or types.is_binary(kind) or types.is_large_binary(kind) or types.is_fixed_size_binary(kind):
        raise UserError(
            f"{what} has type {kind}; a category must be text, a number or a truth value (a list is of kind categories)"
        )
    if types.is_floating(kind):
        column = _floats(column.cast(pa.float64()))
    text = pc.utf8_trim_whitespace(column.cast(pa.string()))
    text = pc.replace_substring_regex(text, _WHOLE, r"\1")
    return pc.if_else(is_null(text, null_values), None, text)


def is_null(text: pa.Array, null_values: Sequence[str]) -> pa.Array:
    """Mask [N] of texts that mean "missing"."""
    markers = pa.array(["", *(value.strip().lower() for value in null_values)], pa.string())
    return pc.or_(pc.is_null(text), pc.is_in(pc.utf8_lower(pc.utf8_trim_whitespace(text)), value_set=markers))


def too_long(text: pa.Array) -> pa.Array:
    """Mask [N] of texts that are too long for a category."""
    return pc.fill_null(pc.greater(pc.utf8_length(text), LONGEST), False)


def _floats(column: pa.Array) -> pa.Array:
    """Numbers as text, integers without a decimal point; NaN is missing, as pandas writes it."""
    column = pc.if_else(pc.is_nan(column), None, column)
    whole = pc.and_(pc.equal(column, pc.floor(column)), pc.less(pc.abs(column), 2.0**53))
    numbers = pc.if_else(whole, column, None).cast(pa.int64()).cast(pa.string())
    return pc.if_else(whole, numbers, column.cast(pa.string()))
