"""Lists of rows: a shard of a data set that was appended to, as runs of rows of several files, its layers.

The row of a user who got new events is superseded: it stays in its file, and no list names it. Row groups of such a shard are put
together from those of its layers when they are read, so readers see the shard that a full prepare would have written.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ltrec.core import columns as c
from ltrec.core.errors import UserError, first_line
from ltrec.core.ragged import I64, prefix_sums, ragged
from ltrec.data.manifest import MEND, Manifest, Shard
from ltrec.data.schema import ROW_LIST_SCHEMA

Read = Callable[[int, int], pa.Table]
"""Reads a row group of a layer, numbered as in the shard."""
_GROUP_BITS = 40


@dataclass(frozen=True, slots=True)
class RowList:
    """M runs of neighbouring rows, int64 [M] each.

    Attributes:
        layer: file of each run, numbered as in the shard.
        first: its first row there.
        rows: its length.
    """

    layer: I64
    first: I64
    rows: I64

    @staticmethod
    def of(layer_R: I64, row_R: I64) -> RowList:
        """From the layer and the row of every user of the shard, at least one."""
        begins = np.flatnonzero(np.append(True, (np.diff(layer_R) != 0) | (np.diff(row_R) != 1)))
        return RowList(layer_R[begins], row_R[begins], np.diff(np.append(begins, layer_R.size)))

    def expanded(self) -> tuple[I64, I64]:
        """Layer and row of every user of the shard."""
        return np.repeat(self.layer, self.rows), ragged(self.first, self.rows)

    def table(self, low: int, high: int, block_rows: Sequence[int], read: Read) -> pa.Table:
        """Users low:high of the shard, at least one.

        Args:
            low: the first.
            high: one after the last.
            block_rows: rows of a row group of each layer.
            read: reads a row group of a layer.
        """
        ends = np.cumsum(self.rows)
        some = slice(int(np.searchsorted(ends, low, side="right")), int(np.searchsorted(ends, high, side="left")) + 1)
        layer_R, row_R = RowList(self.layer[some], self.first[some], self.rows[some]).expanded()
        before = int(ends[some.start] - self.rows[some.start])
        layer_R, row_R = layer_R[low - before : high - before], row_R[low - before : high - before]
        size_R = np.asarray(block_rows, np.int64)[layer_R]
        key, which_R = np.unique(layer_R << _GROUP_BITS | row_R // size_R, return_inverse=True)
        tables = [read(number >> _GROUP_BITS, number & (1 << _GROUP_BITS) - 1) for number in key.tolist()]
        starts = prefix_sums(np.array([table.num_rows for table in tables], np.int64))
        place_R = starts[which_R] + row_R % size_R
        return pa.concat_tables(tables).combine_chunks().take(pa.array(place_R))


def read_row_list(path: Path, shard: Shard, manifest: Manifest) -> RowList:
    """The list of a shard.

    Raises:
        UserError: it cannot be read, or names rows that are not there.
    """
    try:
        with pq.ParquetFile(path, page_checksum_verification=True, pre_buffer=False) as file:
            table = file.read(use_threads=False)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read: {first_line(error)}; the data set is damaged, {MEND}") from None
    if not table.schema.equals(ROW_LIST_SCHEMA):
        raise UserError(f"{path} has another schema than a list of rows: {', '.join(table.schema.names)}")
    found = RowList(*(table[name].to_numpy().astype(np.int64) for name in ROW_LIST_SCHEMA.names))
    size = np.array([manifest.layers[number].rows for number in shard.layers], np.int64)
    inside = (found.layer >= 0) & (found.layer < size.size) & (found.first >= 0) & (found.rows > 0)
    if not inside.all() or (found.first + found.rows > size[found.layer]).any() or found.rows.sum() != shard.rows:
        raise UserError(f"{path} does not name {shard.rows} rows of its {size.size} files; {MEND}")
    return found


def write_row_list(path: Path, found: RowList) -> None:
    """Write a list."""
    columns = {c.LAYER: found.layer, c.FIRST: found.first, c.ROWS: found.rows}
    pq.write_table(
        pa.table(columns, schema=ROW_LIST_SCHEMA),
        path,
        compression="zstd",
        use_dictionary=False,
        column_encoding=dict.fromkeys(columns, "DELTA_BINARY_PACKED"),
        write_page_checksum=True,
    )
