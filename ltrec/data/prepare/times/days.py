"""Times that are only days: the order within a day is unknown, and two events on a day are not duplicates because of it."""

from __future__ import annotations

from ltrec.data.prepare.engines.protocol import Engine, counted

ZONE_STEP = 900
"""Offsets of time zones are multiples of a quarter of an hour, so the midnights of a zone are at such a time in UTC."""
ENOUGH_DAYS = 10
"""This many different days with the same time of day are not a coincidence."""

# In a zone with daylight saving time, midnights are at two times of the UTC day, an hour apart.
_MIDNIGHTS = """
SELECT count(DISTINCT clock), max(clock) - min(clock), max(clock), count(DISTINCT day)
FROM (SELECT clock, seconds - clock AS day FROM (SELECT seconds, ((seconds % 86400) + 86400) % 86400 AS clock FROM events))"""
_ODD = f"SELECT max(((seconds % {ZONE_STEP}) + {ZONE_STEP}) % {ZONE_STEP}), max(sub_second) FROM events"


def only_days(engine: Engine, unit: str) -> bool:
    """Whether every time in `events` is a midnight, in UTC or in another zone."""
    if unit == "order":
        return False
    if any(counted(engine, _ODD)):
        return False
    clocks, apart, latest, days = counted(engine, _MIDNIGHTS)
    return latest == 0 or (days >= ENOUGH_DAYS and (clocks == 1 or (clocks == 2 and apart == 3600)))


def note(repeats: int) -> str:
    """A note for the user, with the number of kept rows that repeat user, item and day of another row."""
    kept = f"; {repeats:,} same-day repeats are kept" if repeats else ""
    return f"times are days: the order within a day is unknown{kept}"
