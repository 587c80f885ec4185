"""Load an item or user table into the engine: one row per id (the first, if there are several); invalid rows are rejects.

Vectors do not pass through the engine: they are written to a file (see `vectors`), in the order of the rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import types

from ltrec.columns.schema import Role
from ltrec.data.prepare.columns.codes import make_vocabularies
from ltrec.data.prepare.columns.declared import Declared, declared
from ltrec.data.prepare.columns.vectors import VectorFile
from ltrec.data.prepare.config import PrepareConfig
from ltrec.data.prepare.database import Connection, identifier, one_row, quoted
from ltrec.data.prepare.readers import read_table
from ltrec.data.prepare.readers.sources import InputFile
from ltrec.data.prepare.rejects import Rejects, check_budget, keep
from ltrec.data.prepare.staging import BadRows
from ltrec.data.prepare.table_config import TableConfig


@dataclass(slots=True)
class LoadedTable:
    """A loaded table.

    Attributes:
        role: item or user.
        key: the source's column with the id.
        columns: in the order of declaration.
        vectors: files of vector columns, by field.
        rows: number of rows read, valid or not.
        rejects: reason -> number of rows.
        rejects_file: manifest entry of the file with rejects, if there are any.
        shortened: list column -> number of rows whose list was too long.
    """

    role: Role
    key: str
    columns: tuple[Declared, ...]
    vectors: dict[str, VectorFile] = field(default_factory=dict)
    rows: int = 0
    rejects: dict[str, int] = field(default_factory=dict)
    rejects_file: dict[str, Any] | None = None
    shortened: dict[str, int] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Name of the engine's table: row, id, and all columns but vectors."""
        return f"{self.role}_rows"

    @property
    def rejected(self) -> str:
        """Name of the engine's table of rejects: file, row, reason, content."""
        return f"{self.role}_rejects"

    @property
    def id(self) -> str:
        """Name of the id column."""
        return f"{self.role}_id"

    @property
    def in_engine(self) -> tuple[Declared, ...]:
        """All columns but vectors."""
        return tuple(column for column in self.columns if column.field not in self.vectors)

    def summary(self) -> dict[str, Any]:
        """Counts for the manifest."""
        found = {"rows": self.rows, "rejected": sum(self.rejects.values()), "rejects": self.rejects}
        also = {"rejects_file": self.rejects_file, "shortened": self.shortened}
        return found | {key: value for key, value in also.items() if value}

    def notes(self) -> list[str]:
        """Notes for the user."""
        return [
            f"{count:,} {self.role}s have more than `{self.role}s.columns.{name}.max_values` values; the first ones are kept"
            for name, count in self.shortened.items()
        ]


def load_table(
    connection: Connection,
    config: PrepareConfig,
    table: TableConfig,
    role: Role,
    sources: Sequence[InputFile],
    work: Path,
    out: Path,
) -> LoadedTable:
    """Load a table into the engine, and write its vectors and rejects into `work`.

    Raises:
        UserError: a column is missing or of a wrong type, or more rows are rejected than `reject_budget` allows; they are in `out`.
    """
    found = LoadedTable(role, table.id, declared(table.columns, role, f"{role}s.columns"))
    for number, column in enumerate(found.columns):
        if types.is_fixed_size_list(column.kind.storage):
            found.vectors[column.field] = VectorFile(work / f"vectors-{role}-{number}", column.kind.width)
    kinds = "".join(f", {identifier(column.field)} {column.sql_type}" for column in found.in_engine)
    connection.execute(f"CREATE TABLE raw (row BIGINT, file INTEGER, line BIGINT, {found.id} VARCHAR{kinds})")
    connection.execute(f"CREATE TABLE {found.rejected} (file INTEGER, row BIGINT, reason VARCHAR, content VARCHAR)")
    bad_rows, kept = BadRows(found.rejected), 0
    for number, source in enumerate(sources):
        for batch in _good_rows(source, config, table, found, bad_rows):
            kept = _insert(connection, found, batch, number, kept)
            found.rows += batch.num_rows + bad_rows.flush(connection, number)
        found.rows += bad_rows.flush(connection, number)
    _keep_first(connection, found)
    _keep_rejects(connection, found, sources, config.reject_budget, work, out)
    _shorten(connection, found)
    make_vocabularies(connection, found.in_engine, found.name)
    return found


def _good_rows(
    source: InputFile, config: PrepareConfig, table: TableConfig, found: LoadedTable, bad_rows: BadRows
) -> Iterator[pa.RecordBatch]:
    """Rows of one file that have an id."""
    shown = {column.source: column.field for column in found.in_engine}
    for batch in read_table(source, config, table.id, found.id, found.columns, bad_rows):
        without_id = pc.equal(pc.fill_null(batch[found.id], ""), "")
        for row in batch.select(["row", *shown.values()]).filter(without_id).to_pylist():
            known = (f"{name}={row[field]}" for name, field in shown.items())
            bad_rows(row["row"], f"null {found.role}", " ".join((f"{table.id}=", *known)))
        yield batch.filter(pc.invert(without_id))


def _insert(connection: Connection, found: LoadedTable, batch: pa.RecordBatch, file: int, before: int) -> int:
    for name, vectors in found.vectors.items():
        vectors.append(batch[name])
    rows, files = pa.array(np.arange(before, before + batch.num_rows)), pa.array(np.full(batch.num_rows, file, np.int32))
    own = {column.field: batch[column.field] for column in found.in_engine}
    placed = {"row": rows, "file": files, "line": batch["row"], found.id: batch[found.id]}
    connection.register("batch", pa.table(placed | own))
    connection.execute("INSERT INTO raw FROM batch")
    connection.unregister("batch")
    rows_so_far: int = before + batch.num_rows
    return rows_so_far


def _keep_first(connection: Connection, found: LoadedTable) -> None:
    """Keep the first row of every id; the others are rejects."""
    connection.execute(f"CREATE TEMP TABLE firsts AS SELECT min(row) AS row FROM raw GROUP BY {found.id}")
    connection.execute(
        f"INSERT INTO {found.rejected} SELECT file, line, '{found.role} twice', concat({quoted(f'{found.key}=')}, {found.id})"
        " FROM raw ANTI JOIN firsts USING (row)"
    )
    connection.execute(
        f"CREATE TABLE {found.name} AS SELECT * EXCLUDE (file, line) FROM raw SEMI JOIN firsts USING (row);"
        " DROP TABLE raw; DROP TABLE firsts"
    )


def _keep_rejects(
    connection: Connection, found: LoadedTable, sources: Sequence[InputFile], budget: float, work: Path, out: Path
) -> None:
    """Count and write the rejects.

    Raises:
        UserError: there are more than the budget allows.
    """
    counted = connection.sql(f"SELECT reason, count(*) FROM {found.rejected} GROUP BY reason ORDER BY reason").fetchall()
    found.rejects = {reason: int(count) for reason, count in counted}
    rejects = Rejects(f"FROM {found.rejected}", sources, found.rejects, table=f"{found.role}s")
    check_budget(connection, rejects, found.rows, budget, out)
    found.rejects_file = keep(connection, rejects, work)
    connection.execute(f"DROP TABLE {found.rejected}")


def _shorten(connection: Connection, found: LoadedTable) -> None:
    """Truncate lists that have more values than allowed, and count them."""
    for column in found.in_engine:
        name, most = identifier(column.field), getattr(column.config, "max_values", 0)
        if not column.sql_type.endswith("[]") or not most:
            continue
        (count,) = one_row(connection, f"SELECT count(*) FROM {found.name} WHERE len({name}) > {most}")
        if count:
            connection.execute(f"UPDATE {found.name} SET {name} = {name}[1:{most}] WHERE len({name}) > {most}")
            found.shortened[column.name] = int(count)
