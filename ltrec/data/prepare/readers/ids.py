"""Ids in a canonical form, so that a user who is 101 in one file and 101.0 in another is the same user.

' 101'              101        surrounding blanks are removed
101.0, 101.         101        an integer that went through a float column (as in pandas with missing values)
1e+05               100000     the same, as R and C print it (without the sign it could be a hexadecimal id)
007, 1e5, 101.5     as written
NA, null, nan       null       the null markers (option `null_values`), in upper or lower case

Ids that a file stores as whole numbers stay numbers: a number means its text.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal
from uuid import UUID

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import types

from ltrec.core.errors import UserError

_WHOLE = r"^(-?(?:0|[1-9][0-9]*))\.0*$"
_POWER = re.compile(r"-?[0-9](\.[0-9]+)?[eE]\+[0-9]{2}")
_MANTISSA_BITS = {"halffloat": 11, "float": 24, "double": 53}
_NUMBER = re.compile("0|-?[1-9][0-9]{0,17}")
_PRINTABLE = re.compile(rb"[!-~]+\0*")


def canonical(column: pa.Array, null_values: Sequence[str]) -> pa.Array:
    """Ids (text or int64 [N], nullable) in canonical form; null markers become null."""
    if types.is_integer(column.type):
        numbers = pa.array([int(value) for marker in null_values if _NUMBER.fullmatch(value := marker.strip())], pa.int64())
        return pc.if_else(pc.is_in(column, value_set=numbers), None, column) if len(numbers) else column
    if pc.all(pc.ascii_is_decimal(column)).as_py():  # digits alone are canonical
        markers = pa.array([value for marker in null_values if (value := marker.strip()).isdecimal()], pa.string())
        return pc.if_else(pc.is_in(column, value_set=markers), None, column) if len(markers) else column
    column = pc.utf8_trim_whitespace(column)
    if _any(pc.match_substring(column, ".")):
        column = pc.replace_substring_regex(column, _WHOLE, r"\1")
    if _any(pc.match_substring(column, "+")):
        column = pa.array([None if text is None else _without_power(text) for text in column.to_pylist()], pa.string())
    return _without_markers(column, column, null_values)


def null_markers(column: pa.Array, null_values: Sequence[str]) -> pa.Array:
    """Text [N] with null instead of null markers, ignoring surrounding blanks and case."""
    return _without_markers(column, pc.utf8_trim_whitespace(column), null_values)


def _without_markers(column: pa.Array, trimmed: pa.Array, null_values: Sequence[str]) -> pa.Array:
    markers = pa.array(["", *(value.strip().lower() for value in null_values)], pa.string())
    is_null = pc.is_in(pc.utf8_lower(trimmed), value_set=markers)
    return pc.if_else(is_null, None, column) if _any(is_null) else column


def typed_ids(column: pa.Array, what: str) -> pa.Array:
    """A typed column of ids [N] as int64, as text, or as bytes that are decoded later.

    Args:
        column: text, integers, decimals, floats with exact integers, UUIDs, bytes, or only nulls.
        what: file and column, for messages.

    Raises:
        UserError: another type, or floats too large to be exact.
    """
    kind = column.type
    if isinstance(kind, pa.UuidType):
        return pa.array([None if value is None else str(value) for value in column.to_pylist()], pa.string())
    if types.is_fixed_size_binary(kind):
        return pa.array([None if value is None else _bytes_text(value) for value in column.to_pylist()], pa.string())
    if types.is_binary(kind) or types.is_large_binary(kind) or types.is_binary_view(kind):
        return column.cast(pa.binary())
    if types.is_floating(kind):
        return _float_text(column, what)
    texts = types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind)
    if types.is_integer(kind) and kind != pa.uint64():
        return column.cast(pa.int64())
    if not (texts or types.is_integer(kind) or types.is_decimal(kind) or types.is_null(kind)):
        raise UserError(f"{what} has type {kind}; ids must be text, numbers or UUIDs")
    return column.cast(pa.string())


def id_text(column: pa.Array, what: str) -> pa.Array:
    """The same, with whole numbers as text."""
    found = typed_ids(column, what)
    return found.cast(pa.string()) if types.is_integer(found.type) else found


def _float_text(column: pa.Array, what: str) -> pa.Array:
    bits = _MANTISSA_BITS[str(column.type)]
    column = pc.if_else(pc.is_finite(column), column, None).cast(pa.float64())
    whole = pc.equal(column, pc.floor(column))
    if _any(inexact := pc.and_(whole, pc.greater(pc.abs(column), 2.0**bits))):
        example = column.filter(pc.fill_null(inexact, False))[0].as_py()
        raise UserError(
            f"{what} holds {example:.17g} as a floating-point number of {bits} bits, which is too large to be exact;"
            " write ids as integers or text"
        )
    numbers = pc.if_else(whole, column, None).cast(pa.int64()).cast(pa.string())
    return pc.if_else(whole, numbers, column.cast(pa.string()))


def _bytes_text(value: bytes) -> str:
    """Padded ASCII as text, 16 other bytes as a UUID, other bytes in hexadecimal."""
    if _PRINTABLE.fullmatch(value):
        return value.rstrip(b"\0").decode("ascii")
    return str(UUID(bytes=value)) if len(value) == 16 else value.hex()


def _without_power(text: str) -> str:
    if _POWER.fullmatch(text) and (number := Decimal(text)) == number.to_integral_value() and number.adjusted() < 18:
        return str(int(number))
    return text


def _any(condition: pa.Array) -> bool:
    return bool(pc.any(condition).as_py())
