"""The sorted data: one file of users and one of events, both ordered by (part, user key), from one external sort.

Shards are made of *parts*: the trainable users of a stratum, or its other users. Within a part, users are ordered by their hash, so
every range of a part is a random sample. The history cap keeps a range [first, last) of a user's events:

    the last `cap` events up to and including the test target, and as many after it (leave_one_out: there is nothing after it)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb

from ltrec.core.columns import NO_STRATUM
from ltrec.core.strata import Strata
from ltrec.data.prepare.columns.codes import coded
from ltrec.data.prepare.columns.declared import Declared, also
from ltrec.data.prepare.engine import quoted

ROW_GROUP = 1 << 16


@dataclass(frozen=True, slots=True)
class StratumPart:
    """A part: `rows` users with `events` stored events; stratum -1 = none."""

    stratum: int
    trainable: bool
    rows: int
    events: int


@dataclass(frozen=True, slots=True)
class Layout:
    """The sorted files and the parts in them, in file order."""

    users: Path
    events: Path
    parts: tuple[StratumPart, ...]


def sort(
    connection: duckdb.DuckDBPyConnection,
    strata: Strata,
    cap: int,
    folder: Path,
    columns: Sequence[Declared],
    users: Sequence[Declared] = (),
) -> Layout:
    """Write `users.parquet` and `events.parquet` into `folder` and drop the table of events."""
    _apply_cap(connection, strata, cap)
    layout = Layout(folder / "users.parquet", folder / "events.parquet", _parts(connection))
    values, joins = coded(users)
    known = f" LEFT JOIN user_rows USING (user_id){joins}" if users else ""
    connection.execute(
        _copy(
            f"SELECT stored.* EXCLUDE (train, held_out, place){values} FROM stored{known} ORDER BY place",
            layout.users,
        )
    )
    connection.execute(
        _copy(
            f"SELECT place, code, seconds{also(columns)} FROM events JOIN (SELECT user_key, place FROM stored) USING (user_key)"
            " ORDER BY place, seconds, sub_second, tie",
            layout.events,
        )
    )
    connection.execute("DROP TABLE events")
    return layout


def _apply_cap(connection: duckdb.DuckDBPyConnection, strata: Strata, cap: int) -> None:
    """Create table `stored`: users with their stratum and their positions after the cap. A validation target is dropped if the cap
    leaves no history before it. `place` is a user's number in the order of parts and keys: one small key of the sort for three."""
    stratum = " + ".join(f"(activity >= {bound})::TINYINT" for bound in strata.lower_bounds) + " - 1"
    connection.execute(
        f"""CREATE TABLE stored AS
        SELECT user_key, user_id, count, held_out, train, ({stratum})::TINYINT AS stratum, activity::INTEGER AS activity,
               last_trained > first AS trainable, train_events, first, last,
               (row_number() OVER (ORDER BY {stratum}, last_trained > first DESC, user_key) - 1)::UINTEGER AS place,
               (CASE WHEN valid_at >= first + (first > 0)::INTEGER THEN valid_at - first ELSE -1 END)::INTEGER AS valid_at,
               (CASE WHEN test_at >= 0 THEN test_at - first ELSE -1 END)::INTEGER AS test_at
        FROM (SELECT *, greatest(least(train, last) - first, 0)::INTEGER AS train_events
              FROM (SELECT *, greatest(stop - {cap}, 0) AS first, least(stop + {cap}, count) AS last
                    FROM (SELECT *, CASE WHEN test_at >= 0 THEN test_at + 1 ELSE count END AS stop FROM users)))"""
    )


def _parts(connection: duckdb.DuckDBPyConnection) -> tuple[StratumPart, ...]:
    rows = connection.execute(
        "SELECT stratum, trainable, count(*), sum(last - first) FROM stored GROUP BY ALL ORDER BY stratum, trainable DESC"
    ).fetchall()
    assert all(stratum > NO_STRATUM or not trainable for stratum, trainable, _, _ in rows)
    return tuple(StratumPart(int(stratum), bool(trainable), int(users), int(events)) for stratum, trainable, users, events in rows)


def _copy(query: str, path: Path) -> str:
    return f"COPY ({query}) TO {quoted(path)} (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {ROW_GROUP})"
