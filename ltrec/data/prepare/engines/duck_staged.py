"""The rows that DuckDB read: those like nearly all rows in a table of few columns, the others in one of all; one view of both.

plain_rows   rows with a time and without a reason: tie (see `rows.tie`), user_id, item_id, number, event columns; `fraction` and
             `iso` from the first row on that is not a whole number
other_rows   rejects, and rows whose time is a text that is yet to be read: all columns of `staged`; the view leaves it out as long
             as there are none

Ids are whole numbers as long as all of them are, whatever the files store; the first other one turns the column into text. A row
takes 32 bytes instead of a hundred, and is joined, counted and spilled for a third of the time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
from pyarrow import types

from ltrec.core.progress import Progress
from ltrec.data.prepare.columns.declared import Declared, also
from ltrec.data.prepare.config import PrepareConfig
from ltrec.data.prepare.database import Connection, identifier, one_row
from ltrec.data.prepare.engines.rows import place, tie
from ltrec.data.prepare.readers import Where, read
from ltrec.data.prepare.readers.sources import InputFile
from ltrec.data.prepare.staging import BadRows, Counted, large_batches, typed_rows
from ltrec.data.prepare.times.choice import check_readable
from ltrec.data.prepare.whole_numbers import whole_numbers

PLAIN, OTHER = "plain_rows", "other_rows"
IDS = ("user_id", "item_id")
_TYPES = {"number": "BIGINT", "fraction": "BIGINT", "iso": "BOOLEAN"}
_FINE = ("fraction", "iso")
_UNREAD = ("text", "normalised", "reason", "content")
_EVERY = ("file", "row", *IDS, "number", *_FINE, *_UNREAD)


class DuckStaged:
    """See `Staged`.

    Args:
        connection: the database.
        columns: event columns.
    """

    def __init__(self, connection: Connection, columns: Sequence[Declared] = ()) -> None:
        self._connection, self._columns = connection, columns
        self.id_types = dict.fromkeys(IDS, "BIGINT")
        self.fine = self.others = False
        own = "".join(f", {identifier(column.field)} {column.sql_type}" for column in columns)
        ids = ", ".join(f"{name} {kind}" for name, kind in self.id_types.items())
        times = ", ".join(f"{name} {_TYPES[name]}" for name in ("number", *_FINE))
        texts = ", ".join(f"{name} VARCHAR" for name in _UNREAD)
        connection.execute(f"CREATE TABLE {PLAIN} (tie BIGINT, {ids}, number BIGINT{own})")
        connection.execute(f"CREATE TABLE {OTHER} (file INTEGER, row BIGINT, {ids}, {times}, {texts}{own})")
        self._see()

    def insert(self, file: int, batch: pa.Table, config: PrepareConfig, before: int) -> None:
        """Add the rows of a batch; see `typed_rows`."""
        for name in IDS:
            batch = self._with_ids(batch, name)
        rows = typed_rows(file, batch, config, self._columns, before)
        if not (rows.whole or self.fine):
            self._make_fine()
        self._connection.register("batch", rows.batch)
        own = self._listed(*IDS, "number", *(_FINE if self.fine else ()))
        plain = f"SELECT {tie()}, {own} FROM ({rows.query}) WHERE reason IS NULL AND text IS NULL"
        ((count,),) = self._connection.execute(f"INSERT INTO {PLAIN} (tie, {own}) {plain}").fetchall()
        if count < batch.num_rows:
            every = self._listed(*_EVERY)
            other = f"SELECT {every} FROM ({rows.query}) WHERE reason IS NOT NULL OR text IS NOT NULL"
            self._connection.execute(f"INSERT INTO {OTHER} ({every}) {other}")
            self.see_others()
        self._connection.unregister("batch")

    def _with_ids(self, batch: pa.Table, name: str) -> pa.Table:
        """The batch with whole numbers as ids, if all have been so far; else the column becomes text."""
        if self.id_types[name] == "BIGINT" and not types.is_integer(batch[name].type):
            if (whole := whole_numbers(batch[name])) is not None:
                return batch.set_column(batch.schema.get_field_index(name), name, whole)
            self.id_types[name] = "VARCHAR"
            for table in (PLAIN, OTHER):
                self._connection.execute(f"ALTER TABLE {table} ALTER {name} TYPE VARCHAR")
            self._see()
        return batch

    def _make_fine(self) -> None:
        self.fine = True
        for name, missing in (("fraction", "0"), ("iso", "false")):
            self._connection.execute(f"ALTER TABLE {PLAIN} ADD COLUMN {name} {_TYPES[name]} DEFAULT {missing}")
        self._see()

    def see_others(self) -> None:
        """Take the other rows into the view."""
        if not self.others:
            self.others = True
            self._see()

    def _see(self) -> None:
        """Make the view of all rows."""
        other = f" UNION ALL SELECT {self._listed(*_EVERY)} FROM {OTHER}" if self.others else ""
        self._connection.execute(f"CREATE OR REPLACE VIEW staged AS {self._plain()}{other}")

    def _plain(self) -> str:
        """SQL: the plain rows with all columns of `staged`."""
        fine = _FINE if self.fine else ("0::BIGINT AS fraction", "false AS iso")
        unread = (f"NULL::VARCHAR AS {name}" for name in _UNREAD)
        return f"SELECT {self._listed(place(), *IDS, 'number', *fine, *unread)} FROM {PLAIN}"

    def _listed(self, *names: str) -> str:
        return ", ".join(names) + also(self._columns)

    def drop(self) -> None:
        """Drop everything."""
        self._connection.execute(f"DROP VIEW staged; DROP TABLE {PLAIN}; DROP TABLE {OTHER}")

    def count(
        self, conditions: Sequence[str], where: str = "true", unless: str = "", *, sample: int = 0, first: int = 0
    ) -> list[int]:
        """One pass over the rows."""
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
        query = f"SELECT {expression} FROM staged WHERE reason IS NULL AND ({where}) ORDER BY file, row LIMIT 1"
        return next((value for (value,) in self._connection.execute(query).fetchall()), None)

    def convert(self, values: Mapping[str, str], where: str) -> None:
        """In place where texts are, else in a new table."""
        run = self._connection.execute
        run(f"UPDATE {OTHER} SET {', '.join(f'{name} = {value}' for name, value in values.items())} WHERE {where}")
        new = ", ".join(
            f"(CASE WHEN {where} THEN {value} ELSE {name} END)::{_TYPES[name]} AS {name}" for name, value in values.items()
        )
        listed = self._listed(tie(), *IDS, "number", *_FINE)
        run(f"CREATE TABLE fresh AS SELECT {listed} FROM (SELECT * REPLACE ({new}) FROM ({self._plain()}))")
        run(f"DROP TABLE {PLAIN}; ALTER TABLE fresh RENAME TO {PLAIN}")
        self.fine = True
        self._see()


def stage(
    staged: DuckStaged,
    connection: Connection,
    sources: Sequence[InputFile],
    config: PrepareConfig,
    columns: Sequence[Declared],
    on_progress: Progress,
) -> Counted:
    """Read every source into the tables of `staged`, batch by batch; stop early if no time can be read."""
    bad_rows, where = BadRows(OTHER), Where(config.where) if config.where else None
    counted, readable = Counted(), False
    for number, source in enumerate(sources):
        before = counted.rows
        for batch in large_batches(read(source, config, columns, where, bad_rows, counted.skip)):
            counted.note(batch, source)
            staged.insert(number, batch, config, counted.rows)
            counted.rows += batch.num_rows + _flushed(bad_rows, staged, connection, number)
            readable = readable or check_readable(staged, config)
            on_progress("read", counted.rows, 0)
        counted.rows += _flushed(bad_rows, staged, connection, number)
        counted.empty_files += counted.rows == before
    return counted


def _flushed(bad_rows: BadRows, staged: DuckStaged, connection: Connection, file: int) -> int:
    """How many bad rows were moved to the table."""
    if count := bad_rows.flush(connection, file):
        staged.see_others()
    return count
