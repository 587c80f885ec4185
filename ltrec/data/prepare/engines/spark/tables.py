"""Named tables of the Spark engine: folders of Parquet files, each behind a view. Nothing is computed twice or cached."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame, SparkSession

from ltrec.data.prepare.database import Connection, quoted

_PLACE = (1 << 33) - 1
"""Bits of the position within a partition, in Spark's increasing ids."""


class SparkTables:
    """Tables in a folder that all executors see.

    Args:
        session: of Spark.
        catalogue: the database of this process.
        folder: of the tables; it exists.
    """

    def __init__(self, session: SparkSession, catalogue: Connection, folder: Path) -> None:
        self.session, self.catalogue, self._folder = session, catalogue, folder
        self._folders: dict[str, list[Path]] = {}
        self._count = 0

    def save(self, name: str, frame: DataFrame) -> None:
        """Write a frame, and let queries read it under a name."""
        self._folders[name] = [self._write(frame)]
        self._show(name, frame.schema)

    def make(self, name: str, query: str) -> None:
        """Write the rows of a query."""
        self.save(name, self.session.sql(query))

    def append(self, name: str, query: str) -> None:
        """Write more rows beside them."""
        frame = self.session.sql(query)
        self._folders[name].append(self._write(frame))
        self._show(name, self.session.table(name).schema)

    def replace(self, name: str, query: str) -> None:
        """Write anew, then remove the old files."""
        self.renew(name, self.session.sql(query))

    def renew(self, name: str, frame: DataFrame) -> None:
        """Replace a table by a frame that may read it."""
        old = self._folders[name]
        self.save(name, frame)
        _remove(old)

    def drop(self, *names: str) -> None:
        """Remove files and views."""
        for name in names:
            self.session.catalog.dropTempView(_plain(name))
            _remove(self._folders.pop(name))

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Collect them."""
        return [tuple(row) for row in self.session.sql(query).collect()]

    def gather(self, name: str, query: str) -> None:
        """Spark writes the rows, DuckDB reads them."""
        folder = self._write(self.session.sql(query))
        self.catalogue.execute(f"CREATE TABLE {name} AS FROM read_parquet({quoted(folder / '*.parquet')})")
        _remove([folder])

    def lend(self, name: str) -> None:
        """DuckDB writes the table, Spark reads it."""
        folder = self._new_folder()
        folder.mkdir()
        self.catalogue.execute(f"COPY (FROM {name}) TO {quoted(folder / 'part.parquet')} (FORMAT parquet)")
        self._folders[name] = [folder]
        self._show(name, None)

    def number(self, name: str, query: str, order: str) -> None:
        """A global sort; a row's place is its position in its partition and the rows of the partitions before."""
        frame = self.session.sql(f"SELECT *, monotonically_increasing_id() AS at FROM (SELECT * FROM ({query}) ORDER BY {order})")
        own = ", ".join(f'"{column}"' for column in frame.columns if column != "at")
        self.save("sorted", frame)
        before, listed = 0, []
        for part, rows in self.rows("SELECT shiftright(at, 33) AS part, count(*) FROM sorted GROUP BY part ORDER BY part"):
            listed.append(f"({part}L, {before}L)")
            before += rows
        starts = f"(SELECT * FROM VALUES {', '.join(listed or ['(0L, 0L)'])} AS starts (part, start))"
        self.make(name, f"SELECT {own}, start + (at & {_PLACE}L) AS place FROM sorted JOIN {starts} ON shiftright(at, 33) = part")
        self.drop("sorted")

    def _write(self, frame: DataFrame) -> Path:
        folder = self._new_folder()
        frame.write.parquet(str(folder))
        return folder

    def _show(self, name: str, schema: Any) -> None:
        paths = [str(folder) for folder in self._folders[name]]
        reader = self.session.read if schema is None else self.session.read.schema(schema)
        reader.parquet(*paths).createOrReplaceTempView(f"`{_plain(name)}`")

    def _new_folder(self) -> Path:
        self._count += 1
        return self._folder / f"table-{self._count:05d}"


def _plain(name: str) -> str:
    return name.strip('"').replace('""', '"')


def _remove(folders: list[Path]) -> None:
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)
