"""Times that are only days: nobody knows what came first within a day, and two events of a day are no duplicates for sharing it."""

from __future__ import annotations

import duckdb

from ltrec.data.prepare.engine import one_row

ZONE_STEP = 900
"""Zones are quarters of an hour apart: days as midnights of another zone fall on one such quarter of the UTC day."""
ENOUGH_DAYS = 10
"""So many different days at one time of the day are no coincidence."""

# Midnights of a zone with summer time fall on two times of the day, an hour apart.
_MIDNIGHTS = f"""
SELECT count(DISTINCT clock), max(clock) - min(clock), max(clock), max(clock % {ZONE_STEP}), count(DISTINCT day), max(sub_second)
FROM (SELECT ((seconds % 86400) + 86400) % 86400 AS clock, (seconds - clock) // 86400 AS day, sub_second FROM events)"""


def only_days(connection: duckdb.DuckDBPyConnection, unit: str) -> bool:
    """Whether every time in `events` is a midnight, of UTC or of another zone."""
    if unit == "order":
        return False
    clocks, apart, latest, odd, days, sub_second = one_row(connection, _MIDNIGHTS)
    if odd or sub_second:
        return False
    return latest == 0 or (days >= ENOUGH_DAYS and (clocks == 1 or (clocks == 2 and apart == 3600)))


def note(repeats: int) -> str:
    """What the user should know, with the number of rows that repeat another's user, item and day and were kept."""
    kept = f"; {repeats:,} same-day repeats are kept" if repeats else ""
    return f"times are days: the order within a day is unknown{kept}"
