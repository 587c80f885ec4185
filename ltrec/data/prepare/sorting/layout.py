"""The sorted data: one file of users and one of events, both ordered by (part, user key), from one external sort.

Shards are made of *parts*: the trainable users of a stratum, or its other users. Within a part, users are ordered by their hash, so
every range of a part is a random sample. The history cap keeps a range [first, last) of a user's events:

    the last `cap` events up to and including the test target, and as many after it (leave_one_out: there is nothing after it)
"""

from __future__ import annotations

from collections.abc import Sequence

from ltrec.core.columns import NO_STRATUM
from ltrec.core.strata import Strata
from ltrec.data.prepare.columns.codes import missing
from ltrec.data.prepare.columns.declared import Declared, also
from ltrec.data.prepare.database import identifier
from ltrec.data.prepare.engines.protocol import Engine, Sorted
from ltrec.data.prepare.sorting.parts import Cut, StratumPart


def sort(
    engine: Engine,
    strata: Strata,
    cap: int,
    cut: Cut,
    columns: Sequence[Declared],
    users: Sequence[Declared] = (),
) -> Sorted:
    """Make the table `stored` and sort it and the events; the table of events is dropped. `user_rows` has columns as codes."""
    _apply_cap(engine, strata, cap)
    known = " LEFT JOIN user_rows USING (user_id)" if users else ""
    values = "".join(f", coalesce({(name := identifier(column.field))}, {missing(column)}) AS {name}" for column in users)
    own = ", ".join(f"stored.{name}" for name in _STORED)
    return engine.sort(
        f"SELECT {own}{values}, stored.place FROM stored{known}",
        f"SELECT place, code, seconds, sub_second, tie{also(columns)} FROM events"
        " JOIN (SELECT user_key, place FROM stored) AS places USING (user_key)",
        _parts(engine),
        cut,
    )


_STORED = (
    "user_key", "user_id", "count", "stratum", "activity", "trainable", "train_events", "first", "last", "valid_at", "test_at"
)  # fmt: skip


def _apply_cap(engine: Engine, strata: Strata, cap: int) -> None:
    """Create table `stored`: users with their stratum and their positions after the cap. A validation target is dropped if the cap
    leaves no history before it. `place` is a user's number in the order of parts and keys: one small key of the sort for three."""
    stratum = " + ".join(f"(activity >= {bound})::TINYINT" for bound in strata.lower_bounds) + " - 1"
    engine.number(
        "stored",
        f"""SELECT user_key, user_id, count, held_out, train, ({stratum})::TINYINT AS stratum, activity::INTEGER AS activity,
               last_trained > first AS trainable, train_events, first, last,
               (CASE WHEN valid_at >= first + (first > 0)::INTEGER THEN valid_at - first ELSE -1 END)::INTEGER AS valid_at,
               (CASE WHEN test_at >= 0 THEN test_at - first ELSE -1 END)::INTEGER AS test_at
        FROM (SELECT *, greatest(least(train, last) - first, 0)::INTEGER AS train_events
              FROM (SELECT *, greatest(stop - {cap}, 0) AS first, least(stop + {cap}, count) AS last
                    FROM (SELECT *, CASE WHEN test_at >= 0 THEN test_at + 1 ELSE count END AS stop FROM users)))""",
        "stratum, trainable DESC, user_key",
    )


def _parts(engine: Engine) -> tuple[StratumPart, ...]:
    rows = engine.rows(
        "SELECT stratum, trainable, count(*), sum(last - first) FROM stored GROUP BY stratum, trainable"
        " ORDER BY stratum, trainable DESC"
    )
    assert all(stratum > NO_STRATUM or not trainable for stratum, trainable, _, _ in rows)
    return tuple(StratumPart(int(stratum), bool(trainable), int(users), int(events)) for stratum, trainable, users, events in rows)
