"""The readers of prepare in the executors: a text file is one task, a Parquet file one for each range of row groups.

A file without times is one task, whatever it is: its rows are numbered as DuckDB's way numbers them, batch by batch.
A task returns its staged rows and, under the file number -1, one row with what it counted, or with the mistake that it found.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import pyarrow as pa
import pyarrow.parquet as pq

from ltrec.core.errors import UserError
from ltrec.data.prepare.columns.declared import Declared
from ltrec.data.prepare.config import PrepareConfig
from ltrec.data.prepare.database import Connection, identifier, small_database
from ltrec.data.prepare.engines.spark.partition import Batches
from ltrec.data.prepare.readers import Where, read
from ltrec.data.prepare.readers.sources import InputFile
from ltrec.data.prepare.staging import BAD_ROWS, BadRows, Counted, large_batches, typed_rows

TASK_ROWS = 1 << 22
"""Rows of Parquet per task, in whole row groups."""
COUNTED = -1
"""File number of the rows with counts."""

_STAGED = {
    "file": pa.int32(),
    "row": pa.int64(),
    "user_id": pa.string(),
    "item_id": pa.string(),
    "number": pa.int64(),
    "fraction": pa.int64(),
    "iso": pa.bool_(),
    "text": pa.string(),
    "normalised": pa.string(),
    "reason": pa.string(),
    "content": pa.string(),
}


@dataclass(frozen=True, slots=True)
class ReadTask:
    """A file, or some row groups of it; `number` is its place among the sources."""

    number: int
    source: InputFile


def staged_schema(columns: Sequence[Declared]) -> pa.Schema:
    """Columns of the table `staged`."""
    return pa.schema([*_STAGED.items(), *((column.field, column.kind.staged) for column in columns)])


def read_tasks(sources: Sequence[InputFile], config: PrepareConfig) -> list[ReadTask]:
    """The tasks that read the sources, in their order."""
    whole = config.time == "order"
    return [ReadTask(number, part) for number, source in enumerate(sources) for part in ([source] if whole else _parts(source))]


def _parts(source: InputFile) -> Iterator[InputFile]:
    if source.format != "parquet" or source.path.stat().st_size == 0:
        yield source
        return
    try:
        metadata = pq.read_metadata(source.path)
    except (pa.ArrowException, OSError):
        yield source  # the reader says what is wrong with it
        return
    begin, rows = 0, 0
    for group in range(metadata.num_row_groups):
        rows += metadata.row_group(group).num_rows
        if rows >= TASK_ROWS or group == metadata.num_row_groups - 1:
            yield replace(source, groups=(begin, group + 1))
            begin, rows = group + 1, 0
    if metadata.num_row_groups == 0:
        yield source


def chosen_types(sources: Sequence[InputFile], config: PrepareConfig, columns: Sequence[Declared]) -> dict[str, str]:
    """The types of the text columns of `where`, from the first rows that have values: one choice for all tasks.

    Raises:
        UserError: the condition, or a file.
    """
    where = Where(config.where)
    for source in sources:
        for _ in read(source, config, columns, where, lambda *_: None, lambda _: None):
            if (types := where.types) is not None:
                return types
    return where.types or {}


@dataclass(frozen=True, slots=True)
class Reader:
    """Runs tasks in an executor: batches with the number of a task in, staged rows out."""

    tasks: tuple[ReadTask, ...]
    config: PrepareConfig
    columns: tuple[Declared, ...]
    types: dict[str, str]

    def __call__(self, batches: Batches) -> Batches:
        """Run the tasks of a partition."""
        with small_database() as database:
            for batch in batches:
                for number in batch.column(0).to_pylist():
                    yield from self._run(database, number)

    def _run(self, database: Connection, number: int) -> Batches:
        task, counted, bad_rows = self.tasks[number], Counted(), BadRows("staged")
        where = Where(self.config.where, self.types) if self.config.where else None
        mistake, bad_before = "", 0
        try:
            for batch in large_batches(read(task.source, self.config, self.columns, where, bad_rows, counted.skip)):
                counted.note(batch, task.source)
                rows = typed_rows(task.number, batch, self.config, self.columns, counted.rows + bad_before)
                database.register("batch", rows.batch)
                yield from self._cast(database.sql(self._typed(rows.query)).to_arrow_table())
                database.unregister("batch")
                counted.rows += batch.num_rows
                bad_before = len(bad_rows.rows)
        except UserError as error:
            mistake = str(error)
        counted.rows += len(bad_rows.rows)
        yield from self._cast(_bad(bad_rows, task.number))
        yield from self._cast(_note(number, task.number, counted, mistake))

    def _typed(self, query: str) -> str:
        kinds = {"file": "INTEGER", "row": "BIGINT", "number": "BIGINT", "fraction": "BIGINT", "iso": "BOOLEAN"}
        listed = ", ".join(
            f"{identifier(name)}::{kinds[name]} AS {identifier(name)}" if name in kinds else identifier(name)
            for name in staged_schema(self.columns).names
        )
        return f"SELECT {listed} FROM ({query}) AS rows"

    def _cast(self, table: pa.Table) -> Batches:
        schema = staged_schema(self.columns)
        columns = [table[f.name].cast(f.type) if f.name in table.schema.names else pa.nulls(len(table), f.type) for f in schema]
        yield from pa.table(columns, schema=schema).to_batches()


def _bad(bad_rows: BadRows, file: int) -> pa.Table:
    table = pa.Table.from_pylist(bad_rows.rows, schema=BAD_ROWS)
    return table.append_column("file", pa.array([file] * len(table), pa.int32()))


def _note(number: int, file: int, counted: Counted, mistake: str) -> pa.Table:
    found = {"file": file, "rows": counted.rows, "unselected": counted.unselected, "rounded": counted.rounded, "mistake": mistake}
    found["untimed"] = counted.untimed
    return pa.table({"file": pa.array([COUNTED], pa.int32()), "row": [number], "content": [json.dumps(found)]})


def together(notes: Sequence[str], sources: Sequence[InputFile]) -> tuple[Counted, list[int]]:
    """What all tasks counted, in their order, and the rows of every source.

    Args:
        notes: of the tasks.
        sources: of the log.

    Raises:
        UserError: the first mistake, or files with times and files without.
    """
    counted, rows = Counted(), [0] * len(sources)
    for found in map(json.loads, notes):
        if found["mistake"]:
            raise UserError(found["mistake"])
        counted.rows += found["rows"]
        counted.unselected += found["unselected"]
        counted.rounded = counted.rounded or found["rounded"]
        if found["untimed"] is not None:
            counted.agree(found["untimed"], sources[found["file"]])
        rows[found["file"]] += found["rows"]
    counted.empty_files = sum(not count for count in rows)
    return counted, rows


__all__ = ["COUNTED", "ReadTask", "Reader", "chosen_types", "read_tasks", "staged_schema", "together"]
