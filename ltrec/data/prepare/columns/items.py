"""The table of items: items that it alone knows get codes, and once all have ids, its columns are written in their order."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ltrec.columns.schema import MISSING, UNKNOWN, Schema
from ltrec.columns.statistics import Moments
from ltrec.core.storage.atomic import atomic_path, rename_by_hash
from ltrec.data.manifest import ColumnFile
from ltrec.data.prepare.columns.codes import count_words
from ltrec.data.prepare.columns.declared import Declared
from ltrec.data.prepare.columns.describe import DescribedColumns
from ltrec.data.prepare.columns.tables import LoadedTable
from ltrec.data.prepare.columns.values import write_words
from ltrec.data.prepare.engine import identifier, one_row
from ltrec.data.schema import items_schema

FOLDER, STEM = "items", "items"
ROWS = 1 << 14
Ids = npt.NDArray[np.int32]


def find_new_items(connection: duckdb.DuckDBPyConnection) -> None:
    """Make `new_items`: ids that no event has, not even one that was filtered out."""
    connection.execute("CREATE TABLE new_items AS SELECT item_id FROM item_rows ANTI JOIN items USING (item_id)")


def add_new_items(connection: duckdb.DuckDBPyConnection, codes: int) -> dict[str, int]:
    """Give them codes from `codes` on; return how many there are, and how many items and events have no row in the table."""
    without = "(SELECT code FROM items ANTI JOIN item_rows USING (item_id))"
    items, events = one_row(
        connection, f"SELECT (SELECT count(*) FROM {without}), (SELECT count(*) FROM events SEMI JOIN {without} USING (code))"
    )
    connection.execute(
        f"INSERT INTO items SELECT item_id, ({codes - 1} + row_number() OVER (ORDER BY item_id))::INTEGER AS code FROM new_items"
    )
    return {"new": one_row(connection, "SELECT count(*) FROM new_items")[0], "without_row": items, "events_without_row": events}


def write_items(
    connection: duckdb.DuckDBPyConnection, table: LoadedTable, id_of_code: Ids, count_of_code: npt.NDArray[np.int64], work: Path
) -> DescribedColumns:
    """Write words and the table into `work`.

    Args:
        connection: with the tables `items` and `item_rows`.
        table: the table of items.
        id_of_code: item id of every code.
        count_of_code: training events of every code.
        work: folder of the data set to be.
    """
    alive = id_of_code > 0
    codes = np.flatnonzero(alive).astype(np.int32)
    ids = pa.table({"code": codes, "id": id_of_code[alive], "trained": count_of_code[alive] > 0})
    connection.register("ids", ids)
    found = DescribedColumns()
    writers = [_Values(connection, column, table, found, work) for column in table.columns]
    accounts = [writer.account for writer in writers]
    sizes = {writer.column.name: writer.size for writer in writers}
    plain = Schema(tuple(column.described(sizes[column.name], {}, "") for column in table.columns))
    path = work / FOLDER / f"{STEM}.tmp"
    with atomic_path(path) as temporary, _writer(temporary, items_schema(plain)) as file:
        for batch in _in_order(connection, table):
            own = [writer.stored(batch) for writer in writers]
            file.write_table(pa.table([batch["id"], *own], schema=file.schema), row_group_size=ROWS)
    connection.unregister("ids")
    final, digest = rename_by_hash(path)
    found.files.insert(0, ColumnFile(final.relative_to(work).as_posix(), final.stat().st_size, digest))
    for writer, account in zip(writers, accounts, strict=True):
        found.columns.append(writer.column.described(writer.size, account.result(), writer.file))
    return found


def _writer(path: Path, schema: pa.Schema) -> pq.ParquetWriter:
    return pq.ParquetWriter(path, schema, compression="zstd", use_dictionary=False, write_page_checksum=True)


def _in_order(connection: duckdb.DuckDBPyConnection, table: LoadedTable) -> Any:
    """Rows of all items by id: id, trained, row (-1 without one), and the columns that the engine has."""
    own = "".join(f", {identifier(column.field)}" for column in table.in_engine)
    return connection.sql(
        f"SELECT id, trained, coalesce(row, -1)::BIGINT AS row{own} FROM items JOIN ids USING (code)"
        " LEFT JOIN item_rows USING (item_id) ORDER BY id"
    ).to_arrow_reader(ROWS)


class _Account(Moments):
    """Moments, or of a categorical the share of items without a word and that of words that are pooled."""

    words = unknown = 0

    def result(self) -> dict[str, float]:
        if not self.words:
            return super().result()
        return super().result() | {"unknown": self.unknown / self.words}


class _Values:
    """One column on its way to the table."""

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, column: Declared, table: LoadedTable, found: DescribedColumns, work: Path
    ) -> None:
        self.column, self.file, self.size = column, "", column.kind.width
        self._vectors = table.vectors.get(column.field)
        self.account: Any = column.kind.statistics()
        if column.kind.is_categorical:
            self.account = _Account()
            count_W = _count_words(connection, column)
            file, self._id_of_code = write_words(connection, column, count_W, work)
            found.files.append(file)
            self.file, self.size = file.path, 2 + int((self._id_of_code >= 2).sum())
            words = connection.sql(f"SELECT value FROM {column.words} ORDER BY code").to_arrow_table()
            self._words = words["value"].combine_chunks()

    def stored(self, batch: pa.RecordBatch) -> pa.Array:
        """The column of some items as the table has it; those of training are counted."""
        trained = batch["trained"].to_numpy(zero_copy_only=False)
        if self._vectors is not None:
            rows = self._vectors.read(batch["row"].to_numpy())
            self.account.add(rows[trained], ~rows[trained].any(axis=1))
            return pa.FixedSizeListArray.from_arrays(pa.array(rows.ravel()), type=self.column.kind.storage)
        values = batch[self.column.field]
        if not self.column.kind.is_categorical:
            filled = values.fill_null(self.column.kind.missing).to_numpy()
            self.account.add(filled[trained], self.column.is_missing(filled[trained]))
            return pa.array(filled, self.column.kind.storage)
        return self._ids(values, trained)

    def _ids(self, values: pa.Array, trained: npt.NDArray[np.bool_]) -> pa.Array:
        if not pa.types.is_list(values.type):
            ids = self._of_words(values)
            self._count(ids[trained], ids[trained] == MISSING)
            return pa.array(ids)
        lengths = pc.fill_null(pc.list_value_length(values), 0).to_numpy()
        ids = self._of_words(values.flatten())
        offsets = pa.array(np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32))
        self._count(ids[np.repeat(trained, lengths)], lengths[trained] == 0)
        return pa.ListArray.from_arrays(offsets, pa.array(ids), type=self.column.kind.storage)

    def _of_words(self, words: pa.Array) -> Ids:
        codes = pc.fill_null(pc.add(pc.index_in(words, value_set=self._words), 1), 0)
        return np.asarray(self._id_of_code[codes.to_numpy()])

    def _count(self, ids: Ids, missing: npt.NDArray[np.bool_]) -> None:
        self.account.count += len(missing)
        self.account.missing += int(missing.sum())
        self.account.words += int((ids != MISSING).sum())
        self.account.unknown += int((ids == UNKNOWN).sum())


def _count_words(connection: duckdb.DuckDBPyConnection, column: Declared) -> npt.NDArray[np.int64]:
    """Items with training events that have each word, by its code."""
    field = identifier(column.field)
    value = f"unnest({field})" if column.sql_type.endswith("[]") else field
    found = connection.sql(
        f"SELECT words.code, count(*)::BIGINT AS count FROM (SELECT {value} AS value FROM item_rows JOIN items USING (item_id)"
        f" JOIN ids USING (code) WHERE trained) JOIN {column.words} AS words USING (value) GROUP BY words.code"
    ).fetchnumpy()
    count_W = np.zeros(count_words(connection, column) + 1, np.int64)
    count_W[np.asarray(found["code"])] = found["count"]
    return count_W
