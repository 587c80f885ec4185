"""DuckDB as the engine: one database in this process holds the log, the users and the catalogue."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ltrec.core.progress import Progress
from ltrec.data.prepare.columns.codes import coded, make_vocabularies
from ltrec.data.prepare.columns.declared import Declared
from ltrec.data.prepare.config import PrepareConfig
from ltrec.data.prepare.database import Connection, database, identifier, one_row, quoted, user_key
from ltrec.data.prepare.engines import in_process
from ltrec.data.prepare.engines.rows import REJECTED, judged, tie, when
from ltrec.data.prepare.readers.sources import InputFile
from ltrec.data.prepare.sorting.parts import Cut, Layout, StratumPart
from ltrec.data.prepare.staging import Counted, stage
from ltrec.data.prepare.times.choice import TimeFormat

FEW = 16
"""Rows are deleted where they are below one in so many; where they are more, the others are written anew."""
ROW_GROUP = 1 << 16


@contextmanager
def duck_engine(config: PrepareConfig, work: Path) -> Iterator[DuckEngine]:
    """The engine with a database that spills to `work`.

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
        self.staged = DuckStaged(connection)

    def stage(
        self, sources: Sequence[InputFile], config: PrepareConfig, columns: Sequence[Declared], on_progress: Progress
    ) -> Counted:
        """Insert batch by batch; stop early if no time can be read."""
        return stage(self.catalogue, sources, config, columns, on_progress, self.staged)

    def judge(self, chosen: TimeFormat) -> dict[str, int]:
        """Make the view `judged`."""
        self.catalogue.execute(f"CREATE VIEW judged AS {judged(chosen)}")
        query = "SELECT reason, count(*) FROM judged WHERE reason IS NOT NULL GROUP BY reason ORDER BY reason"
        return {reason: int(count) for reason, count in self.rows(query)}

    def rejected(self) -> str:
        """They are in the view."""
        return REJECTED

    def make_events(self, per_second: int, columns: Sequence[Declared]) -> None:
        """Number items and hash users once each, then join."""
        run = self.catalogue.execute
        run(
            "CREATE TABLE items AS SELECT item_id, row_number() OVER (ORDER BY item_id)::INTEGER - 1 AS code"
            " FROM (SELECT DISTINCT item_id FROM judged WHERE reason IS NULL)"
        )
        run(
            f"CREATE TABLE names AS SELECT {user_key('user_id')} AS user_key, user_id"
            " FROM (SELECT DISTINCT user_id FROM judged WHERE reason IS NULL)"
        )
        make_vocabularies(self.catalogue, columns, "judged WHERE reason IS NULL")
        values, joins = coded(columns)
        run(
            f"""CREATE TABLE events AS
            SELECT names.user_key, items.code, {when(per_second)}, {tie()}{values}
            FROM (SELECT * FROM judged WHERE reason IS NULL) JOIN items USING (item_id) JOIN names USING (user_id){joins}"""
        )
        run("DROP VIEW judged; DROP TABLE staged")

    def make(self, name: str, query: str) -> None:
        """A table in memory, or spilled."""
        self.catalogue.execute(f"CREATE TABLE {name} AS {query}")

    def append(self, name: str, query: str) -> None:
        """Insert rows."""
        self.catalogue.execute(f"INSERT INTO {name} {query}")

    def replace(self, name: str, query: str) -> None:
        """Make the new one beside the old one."""
        self.catalogue.execute(f"CREATE TABLE fresh AS {query}; DROP TABLE {name}; ALTER TABLE fresh RENAME TO {name}")

    def take_out(self, condition: str, rows: int, total: int) -> None:
        """Delete few rows; write anew what is left of many."""
        if rows * FEW > total:
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

    def sort(self, users: str, events: str, parts: tuple[StratumPart, ...], cut: Cut) -> in_process.SortedFiles:
        """One file of each, by an external sort."""
        layout = Layout(self._work / "users.parquet", self._work / "events.parquet", parts)
        self.catalogue.execute(_copy(f"{users} ORDER BY place", layout.users))
        (finest,) = one_row(self.catalogue, "SELECT max(sub_second) FROM events")
        order = "place, seconds, sub_second, tie" if finest else "place, seconds, tie"  # a key of zeros costs as much as any other
        self.catalogue.execute(_copy(f"SELECT * EXCLUDE (sub_second, tie) FROM ({events}) ORDER BY {order}", layout.events))
        self.drop("events")
        return in_process.SortedFiles(layout, cut, self._work)


class DuckStaged:
    """See `Staged`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def count(
        self, conditions: Sequence[str], where: str = "true", unless: str = "", *, sample: int = 0, first: int = 0
    ) -> list[int]:
        """One pass over the table."""
        if not conditions:
            return []
        listed = ", ".join(f"count(*) FILTER (WHERE {condition})" for condition in conditions)
        rows = f"FROM staged WHERE reason IS NULL AND ({where})"
        if sample or first or unless:
            some = f" USING SAMPLE {sample} ROWS (reservoir, 0)" if sample else f" LIMIT {first}" if first else ""
            rows = f"FROM (SELECT * {rows}{some}) WHERE NOT ({unless or 'false'})"
        return list(one_row(self._connection, f"SELECT {listed} {rows}"))

    def first(self, expression: str, where: str = "true") -> Any:
        """In the order of the log."""
        query = f"SELECT {expression} FROM staged WHERE reason IS NULL AND ({where}) LIMIT 1"
        return next((value for (value,) in self._connection.execute(query).fetchall()), None)

    def convert(self, values: Mapping[str, str], where: str) -> None:
        """In place."""
        new = ", ".join(f"{name} = {value}" for name, value in values.items())
        self._connection.execute(f"UPDATE staged SET {new} WHERE {where}")


def _copy(query: str, path: Path) -> str:
    """A file that is read three times and removed: little is won by the smallest."""
    return f"COPY ({query}) TO {quoted(path)} (FORMAT parquet, COMPRESSION snappy, ROW_GROUP_SIZE {ROW_GROUP})"
