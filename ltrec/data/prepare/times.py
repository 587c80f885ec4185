"""One unit of time per data set. Units differ by a factor of 1000, so at most one of them puts a number into a plausible year.

`auto` takes the unit that fits most rows; every other row is a reject, never converted in silence: a log that mixes seconds and
milliseconds is broken at its source.
"""

from __future__ import annotations

from datetime import UTC, datetime

import duckdb

from ltrec.core.errors import UserError
from ltrec.data.prepare.config import PrepareConfig
from ltrec.data.prepare.engine import one_row

PER_SECOND = {"s": 1, "iso": 1, "order": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_ALSO = dict.fromkeys(("valid_from", "test_from"), ", a share of the events such as 0.8 or seconds since 1970")
_NUMERIC = ("s", "ms", "us", "ns")


def parse_date(text: str, key: str) -> int:
    """Seconds since 1970 (UTC) of an ISO date or time.

    Raises:
        UserError: it is none.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise UserError(f"prepare.{key} must be an ISO date such as 2014-07-01{_ALSO.get(key, '')}; got {text!r}") from None
    return int(moment.replace(tzinfo=moment.tzinfo or UTC).timestamp())


def fits(unit: str, config: PrepareConfig) -> str:
    """SQL condition over (number, iso) of a staged row: its time is plausible in `unit`."""
    if unit == "order":
        return "(NOT iso)"
    scale = PER_SECOND[unit]
    earliest, latest = (parse_date(getattr(config, key), key) * scale for key in ("earliest", "latest"))
    return f"({'iso' if unit == 'iso' else 'NOT iso'} AND number >= {earliest} AND number < {latest})"


def choose_unit(connection: duckdb.DuckDBPyConnection, config: PrepareConfig) -> tuple[str, str]:
    """The unit of the staged log, and the SQL condition that a row fits it.

    `auto` falls back to `order` when most times are non-negative numbers that no unit makes a plausible year of.
    """
    if config.time_unit != "auto":
        return config.time_unit, fits(config.time_unit, config)
    conditions = {unit: fits(unit, config) for unit in ("iso", *_NUMERIC)}
    conditions["order"] = f"(NOT iso AND number >= 0 AND NOT ({' OR '.join(conditions.values())}))"
    counts = ", ".join(f"count(*) FILTER (WHERE {condition})" for condition in conditions.values())
    row = one_row(connection, f"SELECT {counts} FROM staged WHERE reason IS NULL")
    unit = max(zip(row, conditions, strict=True), key=lambda pair: pair[0])[1]
    return unit, conditions[unit]
