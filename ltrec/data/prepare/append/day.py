"""The events of the day beside the older ones of its users, in the engine's table `events`.

Item codes become the parent's ids; new items get the codes after them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ltrec.core import columns as c
from ltrec.core.ragged import I64, prefix_sums, ragged
from ltrec.data.prepare.append.old import OldUsers
from ltrec.data.prepare.append.rows import OldRows, ParentUsers
from ltrec.data.prepare.columns.declared import Declared, also
from ltrec.data.prepare.database import identifier
from ltrec.data.prepare.engines.protocol import Engine, counted
from ltrec.data.prepare.staging import INSERT_ROWS

BEFORE = 1 << 62
"""Subtracted from the ties of older events, which come first."""


@dataclass(frozen=True, slots=True)
class ItemsOfDay:
    """Items of the day that the parent does not know: `count` of the log, with codes from `first` on, then `unseen` that only the
    table of items has."""

    first: int
    count: int
    unseen: int = 0

    @property
    def codes(self) -> int:
        """Number of codes of all items, with that of padding."""
        return self.first + self.count + self.unseen


@dataclass(slots=True)
class Day:
    """What the day brought.

    Attributes:
        key_U: keys of its users, sorted.
        events: its events.
        known: events that the parent has, or earlier ones of their user and item (duplicates=keep_first), dropped.
        replaced: events of the parent that made way for later ones of their user and item (duplicates=keep_last).
        late: other events that are not later than the user's newest one, dropped.
        old: the parent's rows of these users.
    """

    key_U: I64
    events: int
    known: int = 0
    replaced: int = 0
    late: int = 0
    old: OldUsers = field(default_factory=OldUsers)


def take_parents_ids(engine: Engine, names: pa.ChunkedArray, columns: Sequence[Declared]) -> ItemsOfDay:
    """Replace the codes of `events` by the parent's item ids; `items` keeps the new ones.

    Args:
        engine: with the events and items of the day.
        names: the parent's items, in the order of their ids.
        columns: of the events.
    """
    run, items = engine.catalogue.execute, len(names)
    engine.catalogue.register("before", pa.table({"id": np.arange(1, items + 1, dtype=np.int32), "item_id": names}))
    run(
        f"""CREATE TABLE recoded AS
        SELECT items.code AS day, item_id, before.id AS known FROM items LEFT JOIN before USING (item_id);
        DROP TABLE items;
        CREATE TABLE items AS SELECT item_id, day, ({items} + row_number() OVER (ORDER BY item_id))::INTEGER AS code
        FROM recoded WHERE known IS NULL"""
    )
    engine.catalogue.unregister("before")
    engine.replace(
        "events",
        f"SELECT user_key, coalesce(known, items.code)::INTEGER AS code, seconds, sub_second, tie{also(columns)} FROM events"
        " JOIN recoded ON events.code = recoded.day LEFT JOIN items USING (day)",
    )
    run("DROP TABLE recoded; ALTER TABLE items DROP COLUMN day")
    (count,) = counted(engine, "SELECT count(*) FROM items")
    return ItemsOfDay(items + 1, count)


def shift_places(engine: Engine, rows: int, columns: Sequence[Declared]) -> None:
    """Let the day's log begin where the parent's ended, after so many rows: the place in the log is the time where it has none."""
    engine.replace("events", f"SELECT user_key, code, seconds + {rows} AS seconds, sub_second, tie{also(columns)} FROM events")


def users_of(engine: Engine, rows: str = "SELECT DISTINCT user_key FROM events") -> I64:
    """Keys of all users with events, or those in other rows, sorted."""
    keys = engine.catalogue.sql(rows).to_arrow_table()["user_key"].to_numpy()
    return np.sort(np.asarray(keys, np.int64))


def add_moved(engine: Engine, users: ParentUsers, day: Day, key_M: I64) -> None:
    """Add users without new events (sorted keys) whose rows are written anew all the same; `names` are all users' again.

    Args:
        engine: with the day's users in `users`, which is dropped, and `names_of_day`.
        users: of the parent.
        day: what the day brought; gets their old rows.
        key_M: the users.
    """
    engine.drop("users")
    engine.make("names", "SELECT * FROM names_of_day")
    engine.drop("names_of_day")
    engine.make("moved", "SELECT * FROM older WHERE false")
    for found in users.rows_of(key_M):
        day.old.add(found)
        _insert(engine, "moved", _events_of(found))
        _insert(engine, "names", found.table.select([c.USER_KEY, c.USER_ID]))
    engine.append("older", "SELECT * FROM moved")
    engine.append("events", "SELECT * EXCLUDE trained FROM moved")
    engine.drop("moved")
    day.key_U = np.union1d(day.key_U, key_M)


def add_old_events(engine: Engine, rows: Iterable[OldRows], day: Day, columns: Sequence[Declared]) -> None:
    """Put the users' older events into `older`, with as many events before them as the history cap had removed, and their newest
    times into `newest`; they are noted in `day.old`."""
    engine.catalogue.execute(
        f"CREATE TABLE older AS SELECT user_key, code, seconds, sub_second, tie{also(columns)}, true AS trained"
        " FROM events WHERE false;"
        "CREATE TABLE newest (user_key BIGINT, seconds BIGINT)"
    )
    for found in rows:
        day.old.add(found)
        _insert(engine, "older", _events_of(found))
        key, times = found.table[c.USER_KEY], found.table[c.TIMES]
        last = pc.list_flatten(times).to_numpy()[np.cumsum(pc.list_value_length(times).to_numpy()) - 1]
        _insert(engine, "newest", pa.table({"user_key": key, "seconds": last}))


def old_training_counts(engine: Engine, items: int) -> I64:
    """Training events of every item code in the rows that are superseded, [items+1]; drops `older`."""
    total = np.zeros(items + 1, np.int64)
    for batch in engine.catalogue.sql("SELECT code FROM older WHERE trained").to_arrow_reader(INSERT_ROWS):
        total += np.bincount(batch["code"].to_numpy(), minlength=items + 1)
    engine.drop("older")
    return total


def _events_of(found: OldRows) -> pa.Table:
    """Events of some users, and before them one for each that the cap had removed, which it removes again: all of a user's have the
    same time as the oldest that is left."""
    table, count_R = found.table, found.count_R
    length_R = pc.list_value_length(table[c.ITEMS]).to_numpy()
    index_E = ragged(np.zeros(count_R.size, np.int64), count_R.astype(np.int64))
    stored_E = index_E - np.repeat(count_R - length_R, count_R)
    row_E = np.maximum(stored_E, 0) + np.repeat(prefix_sums(length_R)[:-1], count_R)
    names = {c.ITEMS: "code", c.TIMES: "seconds", **{name: name for name in table.schema.names if _is_of_event(name)}}
    values = {own: pc.list_flatten(table[name]).to_numpy()[row_E] for name, own in names.items()}
    return pa.table(
        {
            "user_key": np.repeat(table[c.USER_KEY].to_numpy(), count_R),
            **values,
            "sub_second": np.zeros(index_E.size, np.int8),
            "tie": index_E - BEFORE,
            "trained": (stored_E >= 0) & (stored_E < np.repeat(table[c.TRAIN_EVENTS].to_numpy(), count_R)),
        }
    )


def _is_of_event(name: str) -> bool:
    return name.startswith(c.EVENT) or name == c.WEIGHT


def _insert(engine: Engine, table: str, rows: pa.Table) -> None:
    """Copy rows into a table of the engine."""
    engine.catalogue.register("batch", rows)
    names = ", ".join(identifier(name) for name in rows.column_names)
    engine.catalogue.execute(f"INSERT INTO {table} ({names}) SELECT {names} FROM batch")
    engine.catalogue.unregister("batch")
