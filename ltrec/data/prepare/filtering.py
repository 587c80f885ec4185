"""From valid rows to filtered events: what is done with the table `events`, whichever engine holds it.

The filters work on counts: users and items below their minimum are listed as dropped, and the events are taken out once at the end.
"""

from __future__ import annotations

from collections.abc import Sequence

from ltrec.core.errors import UserError
from ltrec.data.prepare.columns.declared import Declared, also
from ltrec.data.prepare.config import PrepareConfig
from ltrec.data.prepare.engines.protocol import Engine, counted

_KEPT = "(SELECT * FROM events ANTI JOIN dropped_users USING (user_key) ANTI JOIN dropped_items USING (code)) AS kept"


def find_tied(engine: Engine) -> None:
    """Copy the events that may share their user and time with another one into `tied`: duplicates and ties are among them, and most
    logs have few. An event that shares only the hash is looked at in vain."""
    engine.find_tied_moments()
    engine.make("tied", _tied(engine))


def _tied(engine: Engine) -> str:
    return f"SELECT * FROM events SEMI JOIN tied_at ON tied_at.moment = {engine.moment}"


def refuse_equal_keys(engine: Engine) -> None:
    """Check that no two users of `names` have the same key.

    Raises:
        UserError: two do (expected only from 6 * 10^8 users on).
    """
    users, keys = counted(engine, "SELECT count(*), count(DISTINCT user_key) FROM names")
    if users != keys:
        raise UserError(
            f"{users - keys} user ids have the same 64-bit hash as another one; add a prefix to the ids to change their hashes"
        )


def drop_duplicates(engine: Engine, policy: str, columns: Sequence[Declared]) -> int:
    """Apply the policy to `events`; return how many events were dropped. Exact duplicates agree in all columns as well."""
    row = engine.packed(["seconds", "sub_second", "tie", *(column.field for column in columns)])
    which = {"keep_first": "min", "keep_last": "max"}
    if policy == "keep":
        return 0
    (before,) = counted(engine, "SELECT count(*) FROM events")
    if policy == "drop_exact":
        return _drop_exact(engine, before, columns)
    if policy in which:
        best = f"SELECT user_key, code, {which[policy]}({row}) AS best FROM events GROUP BY user_key, code"
        engine.replace("events", f"SELECT user_key, code, best.* FROM ({best}) AS single")
        engine.replace("tied", _tied(engine))
    (after,) = counted(engine, "SELECT count(*) FROM events")
    return before - after


def _drop_exact(engine: Engine, before: int, columns: Sequence[Declared]) -> int:
    same = f"code, user_key, seconds, sub_second{also(columns)}"
    first_of_same = f"(SELECT min(tie) AS tie FROM tied GROUP BY {same}) AS first_of_same"
    engine.make("repeated", f"SELECT tie FROM tied ANTI JOIN {first_of_same} USING (tie)")
    (rows,) = counted(engine, "SELECT count(*) FROM repeated")
    _take_out(engine, "tie IN (SELECT tie FROM repeated)", rows, before)
    engine.drop("repeated")
    return rows


def _take_out(engine: Engine, condition: str, rows: int, total: int) -> None:
    engine.take_out(condition, rows, total)
    if rows:
        engine.replace("tied", f"SELECT * FROM tied WHERE NOT ({condition})")


def count_repeats(engine: Engine, columns: Sequence[Declared]) -> int:
    """Events that `drop_exact` would drop."""
    distinct = f"SELECT DISTINCT user_key, code, seconds, sub_second{also(columns)} FROM events"
    rows, different = counted(engine, f"SELECT (SELECT count(*) FROM events), (SELECT count(*) FROM ({distinct}))")
    return rows - different


def keep_frequent(engine: Engine, config: PrepareConfig) -> dict[str, int]:
    """Drop rare items and users with few events, once or until nothing changes; return what was dropped and the number of
    rounds."""
    if max(config.min_user_events, config.min_item_events) <= 1:
        return dict.fromkeys(("filtered_events", "filtered_users", "filtered_items", "filter_rounds"), 0)
    engine.make("dropped_users", "SELECT user_key FROM events WHERE false")
    engine.make("dropped_items", "SELECT code FROM events WHERE false")
    (before,) = counted(engine, "SELECT count(*) FROM events")
    rounds, changed = 0, True
    both = min(config.min_user_events, config.min_item_events) > 1
    while changed:
        rounds += 1
        if rounds > 1 and not both:
            break  # users who leave change no other user's count, nor items another item's: this round would find nothing
        items = _drop_rare(engine, "dropped_items", "code", config.min_item_events)
        users = _drop_rare(engine, "dropped_users", "user_key", config.min_user_events)
        changed = config.iterate and items + users > 0
    dropped_users, dropped_items = counted(
        engine, "SELECT (SELECT count(*) FROM dropped_users), (SELECT count(*) FROM dropped_items)"
    )
    if dropped_users + dropped_items:
        condition = "user_key IN (SELECT user_key FROM dropped_users) OR code IN (SELECT code FROM dropped_items)"
        (rows,) = counted(engine, f"SELECT count(*) FROM events WHERE {condition}")
        _take_out(engine, condition, rows, before)
    (after,) = counted(engine, "SELECT count(*) FROM events")
    return {
        "filtered_events": before - after,
        "filtered_users": dropped_users,
        "filtered_items": dropped_items,
        "filter_rounds": rounds,
    }


def _drop_rare(engine: Engine, dropped: str, column: str, minimum: int) -> int:
    (count,) = counted(engine, f"SELECT count(*) FROM {dropped}")
    if minimum > 1:
        engine.append(dropped, f"SELECT {column} FROM {_KEPT} GROUP BY {column} HAVING count(*) < {minimum}")
    return counted(engine, f"SELECT count(*) FROM {dropped}")[0] - count
