"""The column `time` of a batch, of any type, as columns that hold it without rounding.

number     the time as an integer in its own unit; in seconds if it was a date, ISO text or a typed timestamp (`iso`)
fraction   in 10^-18 of that unit
text       the original, if it is neither a number nor ISO 8601

DuckDB has no type with both a zone and more than nanoseconds, so the decimals of a second are cut off ISO text before it is parsed.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import types

from ltrec.core.errors import UserError
from ltrec.data.prepare.config import PrepareConfig
from ltrec.data.prepare.times.text import nanoseconds_by_format
from ltrec.data.prepare.whole_numbers import whole_numbers

ATTO = 10**18
PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
LARGEST_EXACT_DOUBLE = 2**53

# A year of four digits first; no ambiguous name of a zone at the end.
_ISO = """(TRY_CAST(left(given, 4) AS SMALLINT) >= 1000 AND given[5] IN ('-', '/') AND
 (given[-1] BETWEEN '0' AND '9' OR given[-1] = 'Z' OR right(given, 3) IN ('UTC', 'GMT') OR contains(substr(given, 11), '/')))"""

_WHOLE = "SELECT *, {number} AS number, 0::BIGINT AS fraction, false AS iso, NULL::VARCHAR AS text FROM batch"
_TYPED = """
SELECT *, time // {per} - (time % {per} < 0)::BIGINT AS number, ((time % {per}) + {per}) % {per} * {atto} AS fraction,
       time IS NOT NULL AS iso, NULL::VARCHAR AS text FROM batch"""
_FLOAT = """
SELECT *, CASE WHEN isfinite(time) THEN TRY_CAST(floor(time) AS BIGINT) END AS number,
       TRY_CAST((time - floor(time)) * 1e18 AS BIGINT) AS fraction, false AS iso, NULL::VARCHAR AS text FROM batch"""
_SPLIT = f"""TRY_CAST(floor(amount) AS BIGINT) AS whole,
       ((amount - floor(amount))::DECIMAL(18, 18) * {ATTO}::DECIMAL(19, 0))::BIGINT AS part"""
_DECIMAL = f"""
SELECT *, whole AS number, part AS fraction, false AS iso, NULL::VARCHAR AS text
FROM (SELECT *, {_SPLIT} FROM (SELECT *, TRY_CAST(time AS DECIMAL(38, 18)) AS amount FROM batch))"""
# point: where decimals begin; tail: what follows them. A decimal comma is accepted after seconds since 1970 or a time of day;
# elsewhere it may separate thousands. More than 18 decimals would be rounded, so they are not read.
_TEXT = f"""
SELECT *, coalesce(whole, seconds) AS number,
       CASE WHEN whole IS NOT NULL THEN part WHEN point = 0 THEN 0 ELSE rpad(left(decimals, 18), 18, '0')::BIGINT END AS fraction,
       whole IS NULL AND seconds IS NOT NULL AS iso, CASE WHEN whole IS NULL AND seconds IS NULL THEN time END AS text
FROM (SELECT *, {_SPLIT}, CASE WHEN amount IS NULL AND NOT fine AND {_ISO} THEN epoch_us(TRY_CAST(
             CASE WHEN point = 0 THEN given WHEN decimals <> '' THEN left(given, point - 1) || tail END AS TIMESTAMPTZ)) // 1000000
             END AS seconds
      FROM (SELECT *, length(decimals) > 18 AND rtrim(substr(decimals, 19), '0') <> '' AS fine,
                   CASE WHEN NOT fine THEN TRY_CAST(CASE WHEN given[point] = ',' AND point > 9 AND tail = '' THEN
                        replace(given, ',', '.') ELSE given END AS DECIMAL(38, 18)) END AS amount
            FROM (SELECT *, CASE WHEN point > 0 THEN left(rest, length(rest) - length(tail)) ELSE '' END AS decimals
                  FROM (SELECT *, substr(given, point + 1) AS rest, ltrim(rest, '0123456789') AS tail
                        FROM (SELECT *, trim(time) AS given, strpos(translate(given, ',', '.'), '.') AS point FROM batch)))))"""
_FORMATTED = """
SELECT *, (nanoseconds - rest) // 1000000000 AS number, rest * 1000000000 AS fraction, nanoseconds IS NOT NULL AS iso,
       CASE WHEN nanoseconds IS NULL THEN time::VARCHAR END AS text
FROM (SELECT *, ((nanoseconds % 1000000000) + 1000000000) % 1000000000 AS rest
      FROM (SELECT *, {nanoseconds} AS nanoseconds FROM batch))"""


class Timed(NamedTuple):
    """The batch to register in DuckDB as `batch`, a query that adds number, fraction, iso and text to it, and whether all times are
    whole numbers."""

    batch: pa.Table
    query: str
    whole: bool = False


def timed(batch: pa.Table, config: PrepareConfig, before: int) -> Timed:
    """The batch with its times.

    In a batch without times, the position in the log is used; `before` is the number of rows before the batch.

    Raises:
        UserError: `time_format` is set and the column is not text.
    """
    if "time" not in batch.schema.names:
        places = pa.array(np.arange(before + 1, before + 1 + batch.num_rows))
        return Timed(batch.append_column("time", places), _WHOLE.format(number="time"), whole=True)
    kind = batch.schema.field("time").type
    if config.time_format and not (types.is_string(kind) or types.is_integer(kind)):
        raise UserError(f"`time_format`={config.time_format!r} is for text, but column {config.time!r} has type {kind}")
    if config.time_format:
        return Timed(batch, _FORMATTED.format(nanoseconds=nanoseconds_by_format("time::VARCHAR", config.time_format)))
    if types.is_timestamp(kind):
        place = batch.schema.get_field_index("time")
        per = PER_SECOND[kind.unit]
        return Timed(batch.set_column(place, "time", batch["time"].cast(pa.int64())), _TYPED.format(per=per, atto=ATTO // per))
    if types.is_string(kind):
        whole = whole_numbers(batch["time"])
        if whole is None:
            return Timed(batch, _TEXT)
        whole_batch = batch.set_column(batch.schema.get_field_index("time"), "time", whole)
        return Timed(whole_batch, _WHOLE.format(number="time"), whole=True)
    if types.is_integer(kind):
        return Timed(batch, _WHOLE.format(number="TRY_CAST(time AS BIGINT)"), whole=True)
    return Timed(batch, _FLOAT if types.is_floating(kind) else _DECIMAL)


def is_rounded(times: pa.ChunkedArray) -> bool:
    """Whether there are doubles so large that not every integer can be represented."""
    if not types.is_floating(times.type):
        return False
    largest = pc.max(pc.abs(times.filter(pc.is_finite(times)))).as_py()
    return largest is not None and largest > LARGEST_EXACT_DOUBLE


def readable(column: pa.Array, where: str) -> pa.Array:
    """A typed column of a file as text, bytes, integers, float64, decimal128 or timestamps in their own unit.

    Raises:
        UserError: the type cannot hold times, or rounds them.
    """
    kind = column.type
    if types.is_timestamp(kind) or kind in (pa.int64(), pa.uint64(), pa.float64(), pa.string(), pa.binary()):
        return column
    if types.is_date(kind):
        return column.cast(pa.timestamp("s" if kind == pa.date32() else "ms"))
    if types.is_float16(kind) or types.is_float32(kind):
        raise UserError(
            f"{where} has type {kind}, which holds about {'7' if kind == pa.float32() else '3'} digits: seconds since 1970"
            f" are rounded to {'128 s' if kind == pa.float32() else 'nothing at all'}; write times as int64 or float64"
        )
    if types.is_integer(kind):
        return column.cast(pa.int64())
    if types.is_decimal(kind):
        return column.cast(pa.decimal128(38, min(18, max(0, kind.scale))))
    if types.is_null(kind) or types.is_large_string(kind) or types.is_string_view(kind):
        return column.cast(pa.string())
    if types.is_large_binary(kind) or types.is_binary_view(kind) or types.is_fixed_size_binary(kind):
        return column.cast(pa.binary())
    raise UserError(f"{where} has type {kind}; times must be numbers, text, dates or timestamps")
