"""Checks of columns: lengths, ids within the vocabulary, finite numbers, width of vectors, order and counts of vocabularies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from ltrec.columns.kinds import kind_of_column
from ltrec.columns.schema import FIRST_VALUE, Column
from ltrec.core import columns as c
from ltrec.core.errors import UserError
from ltrec.data.columns import flat, item_batches
from ltrec.data.manifest import MEND, Manifest
from ltrec.data.schema import VALUES_SCHEMA, items_schema

Ints = npt.NDArray[np.int64]


class ColumnCheck:
    """Checks all columns of a data set while its shards stream by.

    Attributes:
        found: file of a categorical column -> occurrences so far by id; item columns are counted last.

    Raises:
        UserError: a vocabulary is not as the manifest says.
    """

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self._folder, self._manifest = folder, manifest
        self._events = [(column, kind_of_column(column)) for column in manifest.columns.of("event").values()]
        self._users = [(column, kind_of_column(column)) for column in manifest.columns.of("user").values()]
        self._count = {column.file: _counts(folder, column, bool(manifest.lineage)) for column in manifest.columns if column.file}
        self.found = {file: np.zeros_like(count) for file, count in self._count.items()}

    def fault(self, table: pa.Table, lengths: Ints, trained: npt.NDArray[np.bool_]) -> str | None:
        """A message about the first fault of a row group, or None.

        Args:
            table: a row group, in the schema of shards.
            lengths: events per row.
            trained: mask of events that may be trained on, [N].
        """
        for column, kind in self._events:
            values, own = _list(table, c.EVENT + column.name)
            if (own != lengths).any():
                return f"items and {c.EVENT}{column.name} differ in length"
            if fault := kind.fault(values, column):
                return fault
            self._tally(column, values[trained])
        for column, kind in self._users:
            values = table[c.USER + column.name].to_numpy()
            if fault := kind.fault(values, column):
                return fault
            self._tally(column, values[table[c.TRAIN_EVENTS].to_numpy() > 0])
        return self._weight_fault(table, lengths) if self._manifest.columns.weight else None

    def finish(self) -> None:
        """Check the item table, and that counts of values equal those of the vocabulary files.

        Raises:
            UserError: they do not.
        """
        if self._manifest.columns.of("item"):
            self._check_items()
        for file, count in self._count.items():
            if (wrong := np.flatnonzero(self.found[file][FIRST_VALUE:] != count[FIRST_VALUE:])).size:
                place = int(wrong[0]) + FIRST_VALUE
                path = self._folder / file
                raise UserError(
                    f"{path}: id {place} occurs {self.found[file][place]} times, but the file says {count[place]}; {MEND}"
                )

    def _tally(self, column: Column, ids: npt.NDArray[Any]) -> None:
        if column.file:
            self.found[column.file] += np.bincount(ids, minlength=column.size)

    def _weight_fault(self, table: pa.Table, lengths: Ints) -> str | None:
        values, own = _list(table, c.WEIGHT)
        if (own != lengths).any():
            return "items and weight differ in length"
        return None if (values >= 0).all() and np.isfinite(values).all() else "a weight that is negative or not finite"

    def _check_items(self) -> None:
        entry = self._manifest.item_table
        assert entry is not None
        path, columns, rows = self._folder / entry.path, self._manifest.columns.of("item"), 0
        schema = items_schema(self._manifest.columns)
        trained = trained_items(self._folder, self._manifest)
        for batch in item_batches(self._folder, self._manifest, schema.names):
            if not batch.schema.equals(schema):
                raise UserError(f"{path} has another schema than this format: {', '.join(batch.schema.names)}")
            if (batch[c.ITEM].to_numpy() != np.arange(rows + 1, rows + 1 + batch.num_rows)).any():
                raise UserError(f"{path}: items are not in the order of their ids; {MEND}")
            own = trained[rows : rows + batch.num_rows]
            rows += batch.num_rows
            for column in columns.values():
                values, lengths = flat(batch[column.name])
                if fault := kind_of_column(column).fault(values, column):
                    raise UserError(f"{path}: {fault}; {MEND}")
                self._tally(column, values[own if lengths is None else np.repeat(own, lengths)])
        if rows != self._manifest.vocab.items:
            raise UserError(f"{path} has {rows} items instead of {self._manifest.vocab.items}; {MEND}")


def trained_items(folder: Path, manifest: Manifest) -> npt.NDArray[np.bool_]:
    """Mask of items with training events, [V]."""
    with pq.ParquetFile(folder / manifest.vocab.path, pre_buffer=False) as file:
        return np.asarray(file.read([c.TRAIN_COUNT])[c.TRAIN_COUNT].to_numpy() > 0)


def _counts(folder: Path, column: Column, moved: bool) -> Ints:
    """Training count of every id, [size]; 0 for missing and unknown, which are not in the file. Ids are in the order of counts,
    unless these have `moved` since."""
    path = folder / column.file
    with pq.ParquetFile(path, page_checksum_verification=True, pre_buffer=False) as file:
        table = file.read()
    if not table.schema.equals(VALUES_SCHEMA):
        raise UserError(f"{path} has another schema than this format: {', '.join(table.schema.names)}")
    ids, counts = table[c.ID].to_numpy(), table[c.COUNT].to_numpy()
    if (ids != np.arange(FIRST_VALUE, column.size)).any() if len(ids) == column.size - FIRST_VALUE else True:
        raise UserError(f"{path}: ids are not {FIRST_VALUE}..{column.size - 1}; {MEND}")
    if (not moved and (np.diff(counts) > 0).any()) or (counts < 0).any():
        raise UserError(f"{path}: values are not ordered by descending count; {MEND}")
    if len(table[c.VALUE].unique()) != len(ids):
        raise UserError(f"{path}: a value occurs twice; {MEND}")
    return np.concatenate([np.zeros(FIRST_VALUE, np.int64), counts])


def _list(table: pa.Table, name: str) -> tuple[npt.NDArray[Any], Ints]:
    column = table[name].combine_chunks()
    return column.flatten().to_numpy(), column.value_lengths().to_numpy()
