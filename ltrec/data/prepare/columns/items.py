"""The item table: items that occur only there get codes, and its columns are written in the order of item ids."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ltrec.columns.schema import MISSING, UNKNOWN, Schema
from ltrec.columns.statistics import Moments
from ltrec.core.storage.atomic import atomic_path, rename_by_hash
from ltrec.data.manifest import ColumnFile
from ltrec.data.prepare.columns.codes import vocabulary_size
from ltrec.data.prepare.columns.declared import Declared
from ltrec.data.prepare.columns.describe import DescribedColumns
from ltrec.data.prepare.columns.tables import LoadedTable
from ltrec.data.prepare.columns.vocabulary import write_vocabulary
from ltrec.data.prepare.database import Connection, identifier, one_row
from ltrec.data.schema import items_schema

FOLDER, STEM = "items", "items"
ROWS = 1 << 14
Ids = npt.NDArray[np.int32]


def find_new_items(connection: Connection) -> None:
    """Make the table `new_items`: ids without any event in the log, not even a filtered one."""
    connection.execute("CREATE TABLE new_items AS SELECT item_id FROM item_rows ANTI JOIN items USING (item_id)")


def add_new_items(connection: Connection, codes: int) -> dict[str, int]:
    """Give new items codes from `codes` on; return their number, and the numbers of items and events without a row in the table."""
    without = "(SELECT code FROM items ANTI JOIN item_rows USING (item_id))"
    items, events = one_row(
        connection,
        f"SELECT (SELECT count(*) FROM {without}), (SELECT sum(events) FROM item_events SEMI JOIN {without} USING (code))",
    )
    connection.execute(
        f"INSERT INTO items SELECT item_id, ({codes - 1} + row_number() OVER (ORDER BY item_id))::INTEGER AS code FROM new_items"
    )
    return {"new": one_row(connection, "SELECT count(*) FROM new_items")[0], "without_row": items, "events_without_row": events}


def write_items(
    connection: Connection, table: LoadedTable, id_of_code: Ids, count_of_code: npt.NDArray[np.int64], work: Path
) -> DescribedColumns:
    """Write the vocabularies and the item table into `work`.

    Args:
        connection: with the tables `items` and `item_rows`.
        table: the loaded item table.
        id_of_code: item id of every code.
        count_of_code: training events of every code.
        work: folder in which the data set is built.
    """
    alive = id_of_code > 0
    codes = np.flatnonzero(alive).astype(np.int32)
    ids = pa.table({"code": codes, "id": id_of_code[alive], "trained": count_of_code[alive] > 0})
    connection.register("ids", ids)
    found = DescribedColumns()
    writers = [_ColumnWriter(connection, column, table, found, work) for column in table.columns]
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


def _in_order(connection: Connection, table: LoadedTable) -> Any:
    """Rows of all items by id: id, trained, row (-1 = none), and the columns that the engine holds."""
    own = "".join(f", {identifier(column.field)}" for column in table.in_engine)
    return connection.sql(
        f"SELECT id, trained, coalesce(row, -1)::BIGINT AS row{own} FROM items JOIN ids USING (code)"
        " LEFT JOIN item_rows USING (item_id) ORDER BY id"
    ).to_arrow_reader(ROWS)


class _CategoryStatistics(Moments):
    """Statistics of a categorical column: share of items without a value, and share of values that have no id of their own."""

    present = unknown = 0

    def result(self) -> dict[str, float]:
        if not self.present:
            return super().result()
        return super().result() | {"unknown": self.unknown / self.present}


class _ColumnWriter:
    """Writes one column."""

    def __init__(self, connection: Connection, column: Declared, table: LoadedTable, found: DescribedColumns, work: Path) -> None:
        self.column, self.file, self.size = column, "", column.kind.width
        self._vectors = table.vectors.get(column.field)
        self.account: Any = column.kind.statistics()
        if column.kind.is_categorical:
            self.account = _CategoryStatistics()
            count_W = _count_values(connection, column)
            file, self._id_of_code = write_vocabulary(connection, column, count_W, work)
            found.files.append(file)
            self.file, self.size = file.path, 2 + int((self._id_of_code >= 2).sum())
            values = connection.sql(f"SELECT value FROM {column.vocabulary} ORDER BY code").to_arrow_table()
            self._vocabulary = values["value"].combine_chunks()

    def stored(self, batch: pa.RecordBatch) -> pa.Array:
        """The stored column of a batch of items; items with training events are added to the statistics."""
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
            ids = self._coded(values)
            self._count(ids[trained], ids[trained] == MISSING)
            return pa.array(ids)
        lengths = pc.fill_null(pc.list_value_length(values), 0).to_numpy()
        ids = self._coded(values.flatten())
        offsets = pa.array(np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32))
        self._count(ids[np.repeat(trained, lengths)], lengths[trained] == 0)
        return pa.ListArray.from_arrays(offsets, pa.array(ids), type=self.column.kind.storage)

    def _coded(self, values: pa.Array) -> Ids:
        codes = pc.fill_null(pc.add(pc.index_in(values, value_set=self._vocabulary), 1), 0)
        return np.asarray(self._id_of_code[codes.to_numpy()])

    def _count(self, ids: Ids, missing: npt.NDArray[np.bool_]) -> None:
        self.account.count += len(missing)
        self.account.missing += int(missing.sum())
        self.account.present += int((ids != MISSING).sum())
        self.account.unknown += int((ids == UNKNOWN).sum())


def _count_values(connection: Connection, column: Declared) -> npt.NDArray[np.int64]:
    """Number of items with training events per value, by its code."""
    field = identifier(column.field)
    value = f"unnest({field})" if column.sql_type.endswith("[]") else field
    found = connection.sql(
        f"SELECT vocabulary.code, count(*)::BIGINT AS count FROM (SELECT {value} AS value FROM item_rows JOIN items USING (item_id)"
        f" JOIN ids USING (code) WHERE trained) JOIN {column.vocabulary} AS vocabulary USING (value) GROUP BY vocabulary.code"
    ).fetchnumpy()
    count_W = np.zeros(vocabulary_size(connection, column) + 1, np.int64)
    count_W[np.asarray(found["code"])] = found["count"]
    return count_W
