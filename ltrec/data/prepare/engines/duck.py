"""DuckDB as the engine: one database in this process holds the log, the users and the catalogue."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa

from ltrec.core.progress import Progress
from ltrec.data.prepare.columns.codes import coded, make_vocabularies
from ltrec.data.prepare.columns.declared import Declared
from ltrec.data.prepare.config import PrepareConfig
from ltrec.data.prepare.database import Connection, database, identifier, one_row, quoted, reclaim, user_key
from ltrec.data.prepare.engines import in_process
from ltrec.data.prepare.engines.duck_staged import DuckStaged, stage
from ltrec.data.prepare.engines.rows import REJECTED, judged, tie, when
from ltrec.data.prepare.readers.sources import InputFile
from ltrec.data.prepare.sorting.grouping import PIECE_EVENTS
from ltrec.data.prepare.sorting.in_memory import sorted_events
from ltrec.data.prepare.sorting.parts import Cut, Layout, StratumPart
from ltrec.data.prepare.sorting.repeated import repeated
from ltrec.data.prepare.staging import Counted
from ltrec.data.prepare.times.choice import TimeFormat

HASHES = 1 << 20
"""Hashes fetched at a time."""
FEW = 16
"""Rows are deleted where they are below one in so many; where they are more, the others are written anew."""
VECTOR_ROWS, MOST_VECTORS = 2048, 2048
"""Rows are not deleted from more vectors than these: each holds 16 KiB of memory until the statement ends, and one row of every
thousand among 60 M took more than 512 MB."""
ROW_GROUP = 1 << 16
MOST_IN_MEMORY = PIECE_EVENTS
"""Up to so many events are sorted in memory: as many as are read from a sorted file at a time."""


@contextmanager
def duck_engine(config: PrepareConfig, work: Path) -> Iterator[DuckEngine]:
    """The engine with a database in `work`.

    Raises:
        UserError: `memory_limit` is not an amount of memory.
    """
    with database(work, config.memory_limit, config.threads) as connection:
        yield DuckEngine(connection, work)


class DuckEngine:
    """See `Engine`."""

    made_by = ""
    moment = "hash(user_key, seconds, sub_second)"

    def __init__(self, connection: Connection, work: Path) -> None:
        self.catalogue, self._work = connection, work

    def stage(
        self, sources: Sequence[InputFile], config: PrepareConfig, columns: Sequence[Declared], on_progress: Progress
    ) -> Counted:
        """Insert batch by batch; stop early if no time can be read."""
        self.staged = DuckStaged(self.catalogue, columns)
        return stage(self.staged, self.catalogue, sources, config, columns, on_progress)

    def judge(self, chosen: TimeFormat) -> dict[str, int]:
        """Make the view `judged`; where nothing is rejected it judges no row again."""
        verdicts = judged(chosen)
        query = f"SELECT reason, count(*) FROM ({verdicts}) WHERE reason IS NOT NULL GROUP BY reason ORDER BY reason"
        reasons = {reason: int(count) for reason, count in self.rows(query)}
        self.catalogue.execute(f"CREATE VIEW judged AS {verdicts if reasons else 'SELECT * FROM staged'}")
        return reasons

    def rejected(self) -> str:
        """They are in the view."""
        return REJECTED

    def make_events(self, chosen: TimeFormat, columns: Sequence[Declared]) -> None:
        """Number items and hash users once each, then join."""
        run, good = self.catalogue.execute, "(SELECT * FROM judged WHERE reason IS NULL) AS good"
        run(
            "CREATE TABLE items AS SELECT item_id, row_number() OVER (ORDER BY item_id)::INTEGER - 1 AS code"
            f" FROM (SELECT item_id::VARCHAR AS item_id FROM (SELECT DISTINCT item_id FROM {good}))"
        )
        run(
            f"CREATE TABLE names AS SELECT {user_key('user_id')} AS user_key, user_id"
            f" FROM (SELECT user_id::VARCHAR AS user_id FROM (SELECT DISTINCT user_id FROM {good}))"
        )
        make_vocabularies(self.catalogue, columns, "judged WHERE reason IS NULL")
        values, joins = coded(columns)
        run(
            f"""CREATE TABLE events AS
            SELECT names.user_key, items.code, {self._when(chosen)}, {tie()}{values}
            FROM {good} JOIN items ON good.item_id = items.item_id::{self.staged.id_types["item_id"]}
            JOIN names ON good.user_id = names.user_id::{self.staged.id_types["user_id"]}{joins}"""
        )
        run("DROP VIEW judged")
        self.staged.drop()
        reclaim(self.catalogue)

    def _when(self, chosen: TimeFormat) -> str:
        """Seconds in four bytes where they fit, and one for a rest that is nothing: scans of all events are what filters cost."""
        fine = self.staged.fine or chosen.per_second > 1
        found = when(chosen.per_second) if fine else "number AS seconds, 0::TINYINT AS sub_second"
        return found.replace(" AS seconds", "::UINTEGER AS seconds", 1) if chosen.in_32_bits else found

    def find_tied_moments(self) -> None:
        """The hashes leave the database to be sorted."""
        (total,) = one_row(self.catalogue, "SELECT count(*) FROM events")
        reader = self.catalogue.sql(f"SELECT {self.moment} AS moment FROM events").to_arrow_reader(HASHES)
        tied = repeated((batch["moment"].to_numpy() for batch in reader), total, self._work)
        put = self.make
        for found in tied:  # all hashes were read before the first of these
            self.catalogue.register("batch", pa.table({"moment": found}))
            put("tied_at", "SELECT moment FROM batch")
            self.catalogue.unregister("batch")
            put = self.append

    def make(self, name: str, query: str) -> None:
        """A table."""
        self.catalogue.execute(f"CREATE TABLE {name} AS {query}")

    def append(self, name: str, query: str) -> None:
        """Insert rows."""
        self.catalogue.execute(f"INSERT INTO {name} {query}")

    def replace(self, name: str, query: str) -> None:
        """Make the new one beside the old one."""
        self.catalogue.execute(f"CREATE TABLE fresh AS {query}; DROP TABLE {name}; ALTER TABLE fresh RENAME TO {name}")
        reclaim(self.catalogue)

    def take_out(self, condition: str, rows: int, total: int) -> None:
        """Delete few rows; write anew what is left of many."""
        if rows * FEW > total or min(rows, total // VECTOR_ROWS) > MOST_VECTORS:
            self.replace("events", f"SELECT * FROM events WHERE NOT ({condition})")
        elif rows:
            self.catalogue.execute(f"DELETE FROM events WHERE {condition}")

    def drop(self, *names: str) -> None:
        """Drop tables."""
        self.catalogue.execute("; ".join(f"DROP TABLE {name}" for name in names))

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """All rows at once: a lone fetchone() would leave the connection busy (DuckDB 2.0)."""
        return list(self.catalogue.execute(query).fetchall())

    def computed(self, source: str, **expressions: str) -> str:
        """A subquery."""
        return f"(SELECT *, {', '.join(f'{what} AS {name}' for name, what in expressions.items())} FROM {source}) AS computed"

    def packed(self, names: Sequence[str]) -> str:
        """A struct."""
        return "{" + ", ".join(f"{quoted(name)}: {identifier(name)}" for name in names) + "}"

    def last_three(self, column: str, condition: str) -> tuple[str, tuple[str, str, str]]:
        """`max` with a count; positions in a list are from 1, and those behind its end are NULL."""
        first, second, third = (f"coalesce(last_three[{n}], -1)" for n in (1, 2, 3))
        return f"coalesce(max({column}, 3) FILTER (WHERE {condition}), []) AS last_three", (first, second, third)

    def gather(self, name: str, query: str) -> None:
        """The catalogue is the same database."""
        self.make(name, query)

    def lend(self, name: str) -> None:
        """It is here already."""

    def number(self, name: str, query: str, order: str) -> None:
        """One small number for the keys of the sort."""
        self.make(name, f"SELECT *, (row_number() OVER (ORDER BY {order}) - 1)::UINTEGER AS place FROM ({query})")

    def sort(self, users: str, events: str, parts: tuple[StratumPart, ...], cut: Cut) -> in_process.SortedLog:
        """Few in memory, more into one file of each, by an external sort."""
        (rows,) = one_row(self.catalogue, "SELECT count(*) FROM events")
        if rows <= MOST_IN_MEMORY:
            ordered = self.catalogue.sql(f"{users} ORDER BY place").to_arrow_table()
            layout = Layout(ordered, sorted_events(self.catalogue.sql(events).to_arrow_table()), parts)
        else:
            layout = self._sorted_files(users, events, parts)
        self.drop("events")
        return in_process.SortedLog(layout, cut, self._work)

    def _sorted_files(self, users: str, events: str, parts: tuple[StratumPart, ...]) -> Layout:
        of_users, of_events = self._work / "users.parquet", self._work / "events.parquet"
        self.catalogue.execute(_copy(f"{users} ORDER BY place", of_users))
        (finest,) = one_row(self.catalogue, "SELECT max(sub_second) FROM events")
        order = "place, seconds, sub_second, tie" if finest else "place, seconds, tie"  # a key of zeros costs as much as any other
        self.catalogue.execute(
            _copy(
                f"SELECT * EXCLUDE (sub_second, tie) REPLACE (seconds::BIGINT AS seconds) FROM ({events}) ORDER BY {order}",
                of_events,
            )
        )
        return Layout(of_users, of_events, parts)


def _copy(query: str, path: Path) -> str:
    """A file that is read three times and removed: little is won by the smallest."""
    return f"COPY ({query}) TO {quoted(path)} (FORMAT parquet, COMPRESSION snappy, ROW_GROUP_SIZE {ROW_GROUP})"
