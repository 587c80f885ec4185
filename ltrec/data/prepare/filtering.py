"""From valid rows to filtered events: the table `events`, and `names` and `items` with the raw ids.

    events   user_key, code (of the item), seconds, sub_second (10^-18 s, for order only), tie (file and row),
             event columns (see columns/codes)
    names    user_key, user_id
    tied_at  hashes of user_key, seconds, sub_second of several events: until ties are measured
    items    item_id, code

The filters work on counts: users and items below their minimum are listed as dropped, and the events are taken out once at the end.
"""

from __future__ import annotations

from collections.abc import Sequence

import duckdb

from ltrec.core.errors import UserError
from ltrec.data.prepare.columns.codes import coded, make_vocabularies
from ltrec.data.prepare.columns.declared import Declared, also
from ltrec.data.prepare.config import PrepareConfig
from ltrec.data.prepare.engine import identifier, one_row, quoted, user_key
from ltrec.data.prepare.times.columns import ATTO

ROW_BITS = 40
"""tie = file << 40 | row: 8 million files of 10^12 rows."""

_MOMENT = "hash(user_key, seconds, sub_second)"
TIED = f"(FROM events SEMI JOIN tied_at ON tied_at.moment = {_MOMENT})"

FEW = 16
"""Rows are deleted where they are below one in so many; where they are more, the others are written anew."""

_KEPT = "(FROM events ANTI JOIN dropped_users USING (user_key) ANTI JOIN dropped_items USING (code))"


def make_events(connection: duckdb.DuckDBPyConnection, per_second: int, columns: Sequence[Declared]) -> None:
    """Fill `items`, `names`, `events` and `tied_at` from `judged`, and drop the staged rows.

    Raises:
        UserError: two user ids share a 64-bit key (expected only from 6 * 10^8 users on).
    """
    connection.execute(
        "CREATE TABLE items AS SELECT item_id, row_number() OVER (ORDER BY item_id)::INTEGER - 1 AS code"
        " FROM (SELECT DISTINCT item_id FROM judged WHERE reason IS NULL)"
    )
    connection.execute(
        f"CREATE TABLE names AS SELECT {user_key('user_id')} AS user_key, user_id"
        " FROM (SELECT DISTINCT user_id FROM judged WHERE reason IS NULL)"
    )
    users, keys = one_row(connection, "SELECT (SELECT count(*) FROM names), count(*) FROM (SELECT DISTINCT user_key FROM names)")
    if users != keys:
        raise UserError(
            f"{users - keys} user ids have the same 64-bit hash as another one; add a prefix to the ids to change their hashes"
        )
    make_vocabularies(connection, columns, "judged WHERE reason IS NULL")
    values, joins = coded(columns)
    seconds, sub_second = _split(per_second)
    connection.execute(
        f"""CREATE TABLE events AS
        SELECT names.user_key, items.code, {seconds} AS seconds, {sub_second} AS sub_second,
               (file::BIGINT << {ROW_BITS}) | row AS tie{values}
        FROM (SELECT * FROM judged WHERE reason IS NULL) JOIN items USING (item_id) JOIN names USING (user_id){joins}"""
    )
    connection.execute("DROP VIEW judged; DROP TABLE staged")
    _find_tied(connection)


def _split(per_second: int) -> tuple[str, str]:
    """SQL: whole seconds of a time, and what is over in 10^-18 s."""
    if per_second == 1:
        return "number", "fraction"
    rest = f"(((number % {per_second}) + {per_second}) % {per_second})"
    return f"(number - {rest}) // {per_second}", f"{rest} * {ATTO // per_second} + fraction // {per_second}"


def _find_tied(connection: duckdb.DuckDBPyConnection) -> None:
    """Fill `tied_at` with a hash of every user and time of several events: duplicates and ties are there, and most logs have few.
    An event that shares only the hash is looked at in vain."""
    connection.execute(f"CREATE TEMP TABLE tied_at AS SELECT {_MOMENT} AS moment FROM events GROUP BY ALL HAVING count(*) > 1")


def drop_duplicates(connection: duckdb.DuckDBPyConnection, policy: str, columns: Sequence[Declared]) -> int:
    """Apply the policy to `events`; return how many events were dropped. Exact duplicates agree in all columns as well."""
    more = "".join(f", {quoted(column.field)}: {identifier(column.field)}" for column in columns)
    when = f"{{'seconds': seconds, 'sub_second': sub_second, 'tie': tie{more}}}"
    queries = {
        "keep_first": f"SELECT user_key, code, unnest(min({when})) FROM events GROUP BY user_key, code",
        "keep_last": f"SELECT user_key, code, unnest(max({when})) FROM events GROUP BY user_key, code",
    }
    (before,) = one_row(connection, "SELECT count(*) FROM events")
    if policy == "drop_exact":
        same = f"code, user_key, seconds, sub_second{also(columns)}"
        connection.execute(f"CREATE TEMP TABLE first_of_same AS SELECT min(tie) AS tie FROM {TIED} GROUP BY {same}")
        connection.execute(f"CREATE TEMP TABLE repeated AS SELECT tie FROM {TIED} ANTI JOIN first_of_same USING (tie)")
        _remove(connection, "tie IN (FROM repeated)", one_row(connection, "SELECT count(*) FROM repeated")[0], before)
        connection.execute("DROP TABLE first_of_same; DROP TABLE repeated")
    elif policy in queries:
        connection.execute(f"CREATE TABLE single AS {queries[policy]}; DROP TABLE events; ALTER TABLE single RENAME TO events")
    (after,) = one_row(connection, "SELECT count(*) FROM events")
    return before - after


def _remove(connection: duckdb.DuckDBPyConnection, condition: str, rows: int, total: int) -> None:
    """Take the events out that meet a condition, `rows` of `total`."""
    if rows * FEW > total:
        connection.execute(
            f"CREATE TABLE rest AS FROM events WHERE NOT ({condition}); DROP TABLE events; ALTER TABLE rest RENAME TO events"
        )
    elif rows:
        connection.execute(f"DELETE FROM events WHERE {condition}")


def count_repeats(connection: duckdb.DuckDBPyConnection, columns: Sequence[Declared]) -> int:
    """Events that `drop_exact` would drop."""
    query = f"SELECT count(*) - count(DISTINCT (user_key, code, seconds, sub_second{also(columns)})) FROM events"
    return one_row(connection, query)[0]


def keep_frequent(connection: duckdb.DuckDBPyConnection, config: PrepareConfig) -> dict[str, int]:
    """Drop rare items and users with few events, once or until nothing changes; return what was dropped and the number of
    rounds."""
    connection.execute("CREATE TABLE dropped_users (user_key BIGINT); CREATE TABLE dropped_items (code INTEGER)")
    (before,) = one_row(connection, "SELECT count(*) FROM events")
    rounds, changed = 0, max(config.min_user_events, config.min_item_events) > 1
    while changed:
        rounds += 1
        items = _drop_rare(connection, "dropped_items", "code", config.min_item_events)
        users = _drop_rare(connection, "dropped_users", "user_key", config.min_user_events)
        changed = config.iterate and items + users > 0
    dropped_users, dropped_items = one_row(
        connection, "SELECT (SELECT count(*) FROM dropped_users), (SELECT count(*) FROM dropped_items)"
    )
    if dropped_users + dropped_items:
        condition = "user_key IN (FROM dropped_users) OR code IN (FROM dropped_items)"
        (rows,) = one_row(connection, f"SELECT count(*) FROM events WHERE {condition}")
        _remove(connection, condition, rows, before)
    (after,) = one_row(connection, "SELECT count(*) FROM events")
    return {
        "filtered_events": before - after,
        "filtered_users": dropped_users,
        "filtered_items": dropped_items,
        "filter_rounds": rounds,
    }


def _drop_rare(connection: duckdb.DuckDBPyConnection, dropped: str, column: str, minimum: int) -> int:
    (count,) = one_row(connection, f"SELECT count(*) FROM {dropped}")
    if minimum > 1:
        connection.execute(f"INSERT INTO {dropped} SELECT {column} FROM {_KEPT} GROUP BY {column} HAVING count(*) < {minimum}")
    return one_row(connection, f"SELECT count(*) FROM {dropped}")[0] - count
