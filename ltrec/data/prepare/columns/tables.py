"""A table of items or users into the engine: one row per id, the first of several; what does not fit is counted and named.

Vectors do not pass through the engine: they go to a file of their own (see vectors), in the order of the rows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import types

from ltrec.columns.schema import Role
from ltrec.core.errors import UserError
from ltrec.data.prepare.columns.codes import number_words
from ltrec.data.prepare.columns.declared import Declared, declared
from ltrec.data.prepare.columns.vectors import VectorFile
from ltrec.data.prepare.config import PrepareConfig
from ltrec.data.prepare.engine import identifier, one_row
from ltrec.data.prepare.readers import read_table
from ltrec.data.prepare.readers.sources import InputFile
from ltrec.data.prepare.table_config import TableConfig

MOST_PLACES = 3


@dataclass(slots=True)
class LoadedTable:
    """A table that is read.

    Attributes:
        role: item or user.
        columns: in the order of their declaration.
        vectors: files of those that are vectors, by field.
        rows: read in all, good and bad.
        rejects: reason -> rows.
        places: reason -> the first of them, as file:row.
    """

    role: Role
    columns: tuple[Declared, ...]
    vectors: dict[str, VectorFile] = field(default_factory=dict)
    rows: int = 0
    rejects: Counter[str] = field(default_factory=Counter)
    places: dict[str, list[str]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The engine's table: row, id, and the columns but for vectors."""
        return f"{self.role}_rows"

    @property
    def id(self) -> str:
        """Its column with the id."""
        return f"{self.role}_id"

    @property
    def in_engine(self) -> tuple[Declared, ...]:
        """The columns that are no vectors."""
        return tuple(column for column in self.columns if column.field not in self.vectors)

    def reject(self, place: str, reason: str, rows: int = 1) -> None:
        """Count rows that do not fit, the first of them at a place."""
        self.rejects[reason] += rows
        if len(known := self.places.setdefault(reason, [])) <= MOST_PLACES:
            known.append(place)

    def summary(self) -> dict[str, Any]:
        """For the manifest."""
        return {"rows": self.rows, "rejected": self.rejects.total(), "rejects": dict(sorted(self.rejects.items()))}


def load_table(
    connection: duckdb.DuckDBPyConnection,
    config: PrepareConfig,
    table: TableConfig,
    role: Role,
    sources: Sequence[InputFile],
    work: Path,
) -> LoadedTable:
    """Read a table.

    Raises:
        UserError: a column is missing or of a wrong type, or more rows are rejected than `reject_budget` allows.
    """
    columns = declared(table.columns, role, f"{role}s.columns")
    found = LoadedTable(role, columns)
    for number, column in enumerate(columns):
        if types.is_fixed_size_list(column.kind.storage):
            found.vectors[column.field] = VectorFile(work / f"vectors-{role}-{number}", column.kind.width)
    kinds = "".join(f", {identifier(column.field)} {column.sql_type}" for column in found.in_engine)
    connection.execute(f"CREATE TABLE raw (row BIGINT, {found.id} VARCHAR{kinds})")
    kept = 0
    for source in sources:
        for batch in _batches(source, config, table, found):
            kept = _insert(connection, found, batch, kept)
    _keep_first(connection, found)
    _check_budget(found, config.reject_budget)
    number_words(connection, found.in_engine, found.name)
    return found


def _batches(source: InputFile, config: PrepareConfig, table: TableConfig, found: LoadedTable) -> Any:
    """Good rows of one file; all are counted."""

    def on_bad_row(row: int, reason: str, _content: str | None) -> None:
        found.rows += 1
        found.reject(f"{source.label}:{row}", reason)

    for batch in read_table(source, config, table.id, found.id, found.columns, on_bad_row):
        nobody = pc.equal(pc.fill_null(batch[found.id], ""), "")
        for row in batch["row"].filter(nobody).to_pylist():
            found.reject(f"{source.label}:{row}", f"null {found.role}")
        found.rows += batch.num_rows
        yield batch.filter(pc.invert(nobody))


def _insert(connection: duckdb.DuckDBPyConnection, found: LoadedTable, batch: pa.RecordBatch, before: int) -> int:
    for name, file in found.vectors.items():
        file.append(batch[name])
    listed = [batch[found.id], *(batch[column.field] for column in found.in_engine)]
    rows = pa.array(np.arange(before, before + batch.num_rows))
    names = ["row", found.id, *(column.field for column in found.in_engine)]
    connection.register("batch", pa.Table.from_arrays([rows, *listed], names=names))
    connection.execute("INSERT INTO raw FROM batch")
    connection.unregister("batch")
    return before + len(rows)


def _keep_first(connection: duckdb.DuckDBPyConnection, found: LoadedTable) -> None:
    """One row per id; the others are rejects."""
    connection.execute(f"CREATE TEMP TABLE firsts AS SELECT min(row) AS row FROM raw GROUP BY {found.id}")
    (twice,) = one_row(connection, "SELECT (SELECT count(*) FROM raw) - (SELECT count(*) FROM firsts)")
    if twice:
        query = f"SELECT {found.id} FROM raw ANTI JOIN firsts USING (row) ORDER BY row LIMIT 1"
        ((example,),) = connection.execute(query).fetchall()
        found.reject(repr(example), f"{found.role} twice", twice)
    connection.execute(f"CREATE TABLE {found.name} AS FROM raw SEMI JOIN firsts USING (row); DROP TABLE raw; DROP TABLE firsts")


def _check_budget(found: LoadedTable, budget: float) -> None:
    rejected = found.rejects.total()
    if rejected > budget * found.rows:
        reasons = []
        for reason, count in found.rejects.most_common(4):
            places = found.places[reason][:MOST_PLACES]
            reasons.append(f"{count} x {reason} ({', '.join(places)}{', ...' if count > len(places) else ''})")
        share = f"{rejected} of {found.rows} rows of `{found.role}s` rejected ({rejected / found.rows:.2%}, budget {budget:.2%})"
        raise UserError(f"{share}: {', '.join(reasons)}; mend the table or raise `reject_budget`")
