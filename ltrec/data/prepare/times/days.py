"""Times that are only days: the order within a day is unknown, and two events on a day are not duplicates because of it."""

from __future__ import annotations

import duckdb

from ltrec.data.prepare.engine import one_row

ZONE_STEP = 900
"""Offsets of time zones are multiples of a quarter of an hour, so the midnights of a zone are at such a time in UTC."""
ENOUGH_DAYS = 10
"""This many different days with the same time of day are not a coincidence."""

# In a zone with daylight saving time, midnights are at two times of the UTC day, an hour apart.
_MIDNIGHTS = """
SELECT count(DISTINCT clock), max(clock) - min(clock), max(clock), count(DISTINCT day)
FROM (SELECT ((seconds % 86400) + 86400) % 86400 AS clock, (seconds - clock) // 86400 AS day FROM events)"""
_ODD = f"SELECT max(((seconds % {ZONE_STEP}) + {ZONE_STEP}) % {ZONE_STEP}), max(sub_second) FROM events"


def only_days(connection: duckdb.DuckDBPyConnection, unit: str) -> bool:
    """Whether every time in `events` is a midnight, in UTC or in another zone."""
    if unit == "order":
        return False
    if any(one_row(connection, _ODD)):
        return False
    clocks, apart, latest, days = one_row(connection, _MIDNIGHTS)
    return latest == 0 or (days >= ENOUGH_DAYS and (clocks == 1 or (clocks == 2 and apart == 3600)))


def note(repeats: int) -> str:
    """A note for the user, with the number of kept rows that repeat user, item and day of another row."""
    kept = f"; {repeats:,} same-day repeats are kept" if repeats else ""
    return f"times are days: the order within a day is unknown{kept}"
