"""From valid rows to filtered events: the table `events`, and `names` and `items` with the raw ids.

    events   user_key, code (of the item), seconds, sub_second (10^-18 s, for order only), tie (file and row),
             event columns (see columns/codes)
    names    user_key, user_id
    items    item_id, code

The filters work on counts: users and items below their minimum are listed as dropped, and the events are rewritten once at the end.
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

_KEPT = "(FROM events ANTI JOIN dropped_users USING (user_key) ANTI JOIN dropped_items USING (code))"


def make_events(connection: duckdb.DuckDBPyConnection, per_second: int, columns: Sequence[Declared]) -> None:
    """Fill `items`, `names` and `events` from `judged`, and drop the staged rows.

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
    connection.execute(
        f"""CREATE TABLE events AS
        SELECT {user_key("user_id")} AS user_key, items.code, (number - rest) // {per_second} AS seconds,
               rest * {ATTO // per_second} + fraction // {per_second} AS sub_second,
               (file::BIGINT << {ROW_BITS}) | row AS tie{values}
        FROM (SELECT *, ((number % {per_second}) + {per_second}) % {per_second} AS rest FROM judged WHERE reason IS NULL)
        JOIN items USING (item_id){joins}"""
    )
    connection.execute("DROP VIEW judged; DROP TABLE staged")


def drop_duplicates(connection: duckdb.DuckDBPyConnection, policy: str, columns: Sequence[Declared]) -> int:
    """Apply the policy to `events`; return how many events were dropped. Exact duplicates agree in all columns as well."""
    more = "".join(f", {quoted(column.field)}: {identifier(column.field)}" for column in columns)
    when = f"{{'seconds': seconds, 'sub_second': sub_second, 'tie': tie{more}}}"
    queries = {
        "keep": "FROM events",
        "drop_exact": f"SELECT user_key, code, seconds, sub_second, min(tie) AS tie{also(columns)} FROM events GROUP BY ALL",
        "keep_first": f"SELECT user_key, code, unnest(min({when})) FROM events GROUP BY user_key, code",
        "keep_last": f"SELECT user_key, code, unnest(max({when})) FROM events GROUP BY user_key, code",
    }
    (before,) = one_row(connection, "SELECT count(*) FROM events")
    if policy != "keep":
        connection.execute(f"CREATE TABLE single AS {queries[policy]}; DROP TABLE events; ALTER TABLE single RENAME TO events")
    (after,) = one_row(connection, "SELECT count(*) FROM events")
    return before - after


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
        connection.execute(f"CREATE TABLE frequent AS {_KEPT}; DROP TABLE events; ALTER TABLE frequent RENAME TO events")
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
