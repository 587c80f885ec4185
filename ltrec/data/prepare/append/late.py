"""Events of the day that do not come after what their user has, and those that the parent has already.

A user's events of the day must come after all of the parent's: only then can they be appended. One that the parent has (same user,
item, second and columns) is a duplicate, unless duplicates are kept; any other that is not later than the user's newest event is
late, and counted against the budget of rejects. Where a user has one event per item, `keep_first` drops what comes later, and
`keep_last` removes the older one.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ltrec.columns.schema import UNKNOWN
from ltrec.core import columns as c
from ltrec.core.errors import UserError
from ltrec.data.manifest import Manifest
from ltrec.data.prepare.append.day import Day, users_of
from ltrec.data.prepare.columns.declared import Declared, also
from ltrec.data.prepare.database import identifier
from ltrec.data.prepare.engines.protocol import Engine, counted

_PAIRS = "(SELECT user_key, code, seconds AS at FROM older) AS pairs"
"""Where a user has one event per item, when that was."""


def drop_late(
    engine: Engine, day: Day, manifest: Manifest, place: Path, budget: float, rows: int, columns: Sequence[Declared]
) -> None:
    """Drop events that the parent has, and late ones; the table `events` then holds older events as well.

    Args:
        engine: with the events of the day, and the older ones.
        day: what the day brought.
        manifest: of the parent.
        place: of the parent, for messages.
        budget: share of rejects that may be late.
        rows: of the day's log.
        columns: of the events.

    Raises:
        UserError: there are more late ones than the budget of rejects allows, or nothing else.
    """
    rule = manifest.summary["duplicate_rule"]
    early = f"SELECT events.*{_as_stored(manifest, columns)} FROM events JOIN newest USING (user_key)"
    engine.make("early", f"{early} WHERE events.seconds <= newest.seconds")
    engine.make("known", _known(rule, columns))
    engine.make("late", "SELECT user_key, tie FROM early ANTI JOIN known USING (tie)")
    day.known, day.late = counted(engine, "SELECT (SELECT count(*) FROM known), (SELECT count(*) FROM late)")
    if day.late > budget * rows:
        raise _too_late(engine, day, place, budget, rows)
    if dropped := day.known + day.late:
        engine.take_out("tie IN (SELECT tie FROM known UNION ALL SELECT tie FROM late)", dropped, day.events)
        day.key_U = users_of(engine)
        day.events -= dropped
        day.old = day.old.of(day.key_U)
        engine.replace("older", "SELECT older.* FROM older SEMI JOIN (SELECT DISTINCT user_key FROM events) USING (user_key)")
    if not day.key_U.size:
        raise UserError(f"{place} has all of these events already; nothing was written")
    _add_older(engine, day, rule)
    engine.drop("early", "known", "late", "newest")


def _known(rule: str, columns: Sequence[Declared]) -> str:
    """SQL: `tie` of the day's events that the parent has, by the rule of duplicates."""
    if rule == "keep_first":
        return f"SELECT events.tie FROM events JOIN {_PAIRS} USING (user_key, code) WHERE events.seconds >= pairs.at"
    if rule == "keep_last":
        return f"SELECT early.tie FROM early JOIN {_PAIRS} USING (user_key, code) WHERE early.seconds <= pairs.at"
    nothing = " WHERE false" if rule == "keep" else ""
    return f"SELECT early.tie FROM early SEMI JOIN older USING (user_key, code, seconds{also(columns)}){nothing}"


def _add_older(engine: Engine, day: Day, rule: str) -> None:
    """Add the older events, but for those that make way."""
    others = ""
    if rule == "keep_last":
        others = " ANTI JOIN (SELECT user_key, code FROM events) AS fresh USING (user_key, code)"
        (day.replaced,) = counted(engine, f"SELECT (SELECT count(*) FROM older) - (SELECT count(*) FROM older{others})")
    engine.append("events", f"SELECT older.* EXCLUDE trained FROM older{others}")


def _as_stored(manifest: Manifest, columns: Sequence[Declared]) -> str:
    """SQL: values that the parent has no id for are unknown to it."""
    sizes = {c.EVENT + name: column.size for name, column in manifest.columns.of("event").items() if column.file}
    names = {column.field: identifier(column.field) for column in columns if column.field in sizes}
    listed = ", ".join(f"CASE WHEN {n} >= {sizes[key]} THEN {UNKNOWN} ELSE {n} END AS {n}" for key, n in names.items())
    return f" REPLACE ({listed})" if listed else ""


def _too_late(engine: Engine, day: Day, place: Path, budget: float, rows: int) -> UserError:
    ((user,),) = engine.rows("SELECT min(user_id) FROM names SEMI JOIN late USING (user_key)")
    return UserError(
        f"{day.late} of {rows} events ({day.late / rows:.2%}, budget {budget:.2%}) are not later than the newest of their user "
        f"in {place}, such as of {user!r}; append takes events that come after: leave them out, raise `reject_budget` to drop "
        "them, or prepare all events anew"
    )
