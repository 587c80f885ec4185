"""Expressions on single rows, DuckDB's in every engine: the verdict on a staged row, its time and its place in the log."""

from __future__ import annotations

from ltrec.data.prepare.database import quoted
from ltrec.data.prepare.times.choice import TimeFormat
from ltrec.data.prepare.times.columns import ATTO

ROW_BITS = 40
"""tie = file << 40 | row: 8 million files of 10^12 rows."""

_CONTENT = "coalesce(content, concat('user=', user_id, ' item=', item_id, ' time=', coalesce(text, number::VARCHAR)))"
REJECTED = f"SELECT file, row, reason, {_CONTENT} AS content FROM judged WHERE reason IS NOT NULL"
"""The rejects, as a relation of file, row, reason and content."""


def judged(chosen: TimeFormat) -> str:
    """`staged` with the reasons that depend on the chosen form of time."""
    other = f"time not as {chosen.name}" if "%" in chosen.name else f"time not plausible in unit {chosen.name}"
    return (
        f"SELECT * REPLACE (CASE WHEN reason IS NOT NULL THEN reason"
        f" WHEN number IS NULL THEN 'bad time' WHEN NOT {chosen.fits} THEN {quoted(other)} END AS reason) FROM staged"
    )


def when(per_second: int) -> str:
    """seconds, sub_second: whole seconds of a time, and what is over in 10^-18 s."""
    if per_second == 1:
        return "number AS seconds, fraction AS sub_second"
    rest = f"(((number % {per_second}) + {per_second}) % {per_second})"
    over = f"{rest} * {ATTO // per_second} + fraction // {per_second}"
    return f"(number - {rest}) // {per_second} AS seconds, {over} AS sub_second"


def tie() -> str:
    """tie: the place of a row in the log, file by file."""
    return f"(file::BIGINT << {ROW_BITS}) | row AS tie"


def place() -> str:
    """file, row: back from `tie`."""
    return f"(tie >> {ROW_BITS})::INTEGER AS file, tie & {(1 << ROW_BITS) - 1} AS row"
