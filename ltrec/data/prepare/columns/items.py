"""The item table: items that occur only there get codes, and its columns are written in the order of item ids."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ltrec.columns.schema import MISSING, UNKNOWN, Schema
from ltrec.columns.statistics import Moments
from ltrec.core import columns as c
from ltrec.core.storage.atomic import atomic_path, rename_by_hash
from ltrec.data.columns import flat
from ltrec.data.manifest import ColumnFile
from ltrec.data.prepare.columns.codes import vocabulary_size
from ltrec.data.prepare.columns.declared import Declared
from ltrec.data.prepare.columns.describe import DescribedColumns
from ltrec.data.prepare.columns.earlier import EarlierColumns
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
    connection: Connection,
    table: LoadedTable,
    id_of_code: Ids,
    count_of_code: npt.NDArray[np.int64],
    work: Path,
    earlier: EarlierColumns | None = None,
) -> DescribedColumns:
    """Write the vocabularies and the item table into `work`.

    Args:
        connection: with the tables `items` and `item_rows`.
        table: the loaded item table.
        id_of_code: item id of every code.
        count_of_code: training events of every code.
        work: folder in which the data set is built.
        earlier: columns that these go on with; items that it has keep its rows.
    """
    alive = id_of_code > 0
    codes = np.flatnonzero(alive).astype(np.int32)
    ids = pa.table({"code": codes, "id": id_of_code[alive], "trained": count_of_code[alive] > 0})
    connection.register("ids", ids)
    trained_I = np.zeros(int(id_of_code.max()) + 1, np.bool_)
    trained_I[id_of_code[alive]] = count_of_code[alive] > 0
    found = DescribedColumns()
    writers = [_ColumnWriter(connection, column, table, found, work, trained_I, earlier) for column in table.columns]
    sizes = {writer.column.name: writer.size for writer in writers}
    schema = items_schema(Schema(tuple(column.described(sizes[column.name], {}, "") for column in table.columns)))
    path = work / FOLDER / f"{STEM}.tmp"
    with atomic_path(path) as temporary, _writer(temporary, schema) as file:
        for rows in _in_groups(_in_order(connection, table, writers, schema, earlier)):
            for writer in writers:
                writer.note(rows[writer.column.name].combine_chunks(), trained_I[rows[c.ITEM].to_numpy()])
            file.write_table(rows, row_group_size=ROWS)
    connection.unregister("ids")
    final, digest = rename_by_hash(path)
    found.files.insert(0, ColumnFile(final.relative_to(work).as_posix(), final.stat().st_size, digest))
    for writer in writers:
        measured = writer.account.result()
        statistics = measured if earlier is None else earlier.statistics(writer.column, measured)
        found.columns.append(writer.column.described(writer.size, statistics, writer.file))
    return found


def _writer(path: Path, schema: pa.Schema) -> pq.ParquetWriter:
    return pq.ParquetWriter(path, schema, compression="zstd", use_dictionary=False, write_page_checksum=True)


def _in_order(
    connection: Connection,
    table: LoadedTable,
    writers: Sequence[_ColumnWriter],
    schema: pa.Schema,
    earlier: EarlierColumns | None,
) -> Iterator[pa.Table]:
    """Stored rows of all items by id: those of the earlier data set, then others."""
    if earlier is not None:
        yield from (pa.Table.from_batches([batch]) for batch in earlier.items(schema.names, ROWS))
    own = "".join(f", {identifier(column.field)}" for column in table.in_engine)
    reader = connection.sql(
        f"SELECT id, coalesce(row, -1)::BIGINT AS row{own} FROM items JOIN ids USING (code)"
        f" LEFT JOIN item_rows USING (item_id) WHERE id > {_known(earlier)} ORDER BY id"
    ).to_arrow_reader(ROWS)
    for batch in reader:
        yield pa.table([batch["id"], *(writer.stored(batch) for writer in writers)], schema=schema)


def _in_groups(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """The same rows, `ROWS` at a time."""
    waiting: list[pa.Table] = []
    for table in tables:
        waiting.append(table)
        while sum(part.num_rows for part in waiting) >= ROWS:
            whole = pa.concat_tables(waiting)
            yield whole.slice(0, ROWS)
            waiting = [whole.slice(ROWS)]
    if any(part.num_rows for part in waiting):
        yield pa.concat_tables(waiting)


def _known(earlier: EarlierColumns | None) -> int:
    """Items that an earlier data set has."""
    return 0 if earlier is None else earlier.manifest.vocab.items


class _CategoryStatistics(Moments):
    """Statistics of a categorical column: share of items without a value, and share of values that have no id of their own."""

    present = unknown = 0

    def result(self) -> dict[str, float]:
        if not self.present:
            return super().result()
        return super().result() | {"unknown": self.unknown / self.present}


class _ColumnWriter:
    """Writes one column."""

    def __init__(
        self,
        connection: Connection,
        column: Declared,
        table: LoadedTable,
        found: DescribedColumns,
        work: Path,
        trained_I: npt.NDArray[np.bool_],
        earlier: EarlierColumns | None,
    ) -> None:
        self.column, self.file, self.size = column, "", column.kind.width
        self._vectors = table.vectors.get(column.field)
        self.account: Any = column.kind.statistics()
        if column.kind.is_categorical:
            self.account = _CategoryStatistics()
            count_W = _count_values(connection, column, trained_I, earlier)
            size = 0 if earlier is None else earlier.size(column)
            file, id_of_code = write_vocabulary(connection, column, count_W, work, known=size)
            found.files.append(file)
            self.file, self.size = file.path, 2 + int((id_of_code >= 2).sum())
            values = connection.sql(f"SELECT value, code FROM {column.vocabulary} ORDER BY code").to_arrow_table()
            self._vocabulary = values["value"].combine_chunks()
            self._ids_of_values = np.append(np.int32(MISSING), id_of_code[values["code"].to_numpy()])

    def stored(self, batch: pa.RecordBatch) -> pa.Array:
        """The stored column of a batch of items."""
        if self._vectors is not None:
            rows = self._vectors.read(batch["row"].to_numpy())
            return pa.FixedSizeListArray.from_arrays(pa.array(rows.ravel()), type=self.column.kind.storage)
        values = batch[self.column.field]
        if not self.column.kind.is_categorical:
            return pa.array(values.fill_null(self.column.kind.missing).to_numpy(), self.column.kind.storage)
        if not pa.types.is_list(values.type):
            return pa.array(self._coded(values))
        lengths = pc.fill_null(pc.list_value_length(values), 0).to_numpy()
        offsets = pa.array(np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32))
        return pa.ListArray.from_arrays(offsets, pa.array(self._coded(values.flatten())), type=self.column.kind.storage)

    def note(self, stored: pa.Array, trained: npt.NDArray[np.bool_]) -> None:
        """Add those of these items that have training events to the statistics."""
        values, lengths = flat(stored)
        if not self.column.kind.is_categorical:
            self.account.add(values[trained], self.column.is_missing(values[trained]))
            return
        missing = values[trained] == MISSING if lengths is None else lengths[trained] == 0
        ids = values[trained if lengths is None else np.repeat(trained, lengths)]
        self.account.count += len(missing)
        self.account.missing += int(missing.sum())
        self.account.present += int((ids != MISSING).sum())
        self.account.unknown += int((ids == UNKNOWN).sum())

    def _coded(self, values: pa.Array) -> Ids:
        places = pc.fill_null(pc.add(pc.index_in(values, value_set=self._vocabulary), 1), 0)
        return np.asarray(self._ids_of_values[places.to_numpy()])


def _count_values(
    connection: Connection, column: Declared, trained_I: npt.NDArray[np.bool_], earlier: EarlierColumns | None
) -> npt.NDArray[np.int64]:
    """Number of items with training events per value, by its code."""
    field = identifier(column.field)
    value = f"unnest({field})" if column.sql_type.endswith("[]") else field
    found = connection.sql(
        f"SELECT vocabulary.code, count(*)::BIGINT AS count FROM (SELECT {value} AS value FROM item_rows JOIN items USING (item_id)"
        f" JOIN ids USING (code) WHERE trained AND id > {_known(earlier)})"
        f" JOIN {column.vocabulary} AS vocabulary USING (value) GROUP BY vocabulary.code"
    ).fetchnumpy()
    count_W = np.zeros(vocabulary_size(connection, column) + 1, np.int64)
    count_W[np.asarray(found["code"])] = found["count"]
    if earlier is not None:
        for batch in earlier.items([c.ITEM, column.name], ROWS):
            values, lengths = flat(batch[column.name])
            own = trained_I[batch[c.ITEM].to_numpy()]
            np.add.at(count_W, values[own if lengths is None else np.repeat(own, lengths)], 1)
    return count_W
