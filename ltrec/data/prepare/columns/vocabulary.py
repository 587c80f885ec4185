"""Categorical values to ids (from 2 by descending count, ties alphabetically; 1 = rare in training), and the vocabulary file."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from ltrec.columns.schema import FIRST_VALUE, MISSING, UNKNOWN
from ltrec.core import columns as c
from ltrec.core.storage.atomic import atomic_path, rename_by_hash
from ltrec.data.manifest import ColumnFile
from ltrec.data.prepare.columns.declared import Declared
from ltrec.data.prepare.database import Connection, quoted
from ltrec.data.schema import VALUES_SCHEMA

FOLDER = "columns"
ROW_GROUP = 1 << 16


def write_vocabulary(
    connection: Connection,
    column: Declared,
    count_W: npt.NDArray[np.int64],
    folder: Path,
    kept: Collection[str] = (),
    known: int = 0,
) -> tuple[ColumnFile, npt.NDArray[np.int32]]:
    """Write the values that get an id; return the manifest entry of the file, and the id of every code.

    Args:
        connection: with the vocabulary table.
        column: a categorical column.
        count_W: training count of every code; [0] = missing.
        folder: in which the data set is built.
        kept: values that get an id even if they are rare.
        known: codes below it are ids of an earlier data set, and stay.
    """
    connection.register("counted", pa.table({"code": np.arange(len(count_W), dtype=np.int32), "count": count_W}))
    least = max(1, getattr(column.config, "min_count", 1))
    named = f" OR value IN ({', '.join(map(quoted, kept))})" if kept else ""
    reader = connection.sql(
        f"SELECT code, value, count FROM {column.vocabulary} JOIN counted USING (code)"
        f" WHERE code < {known} OR count >= {least}{named} ORDER BY least(code, {known}), count DESC, value"
    ).to_arrow_reader(ROW_GROUP)
    id_of_code = np.full(len(count_W), UNKNOWN, np.int32)
    id_of_code[0] = MISSING
    written = FIRST_VALUE
    path = folder / FOLDER / f"{column.role}-{column.name}.tmp"
    with (
        atomic_path(path) as temporary,
        pq.ParquetWriter(temporary, VALUES_SCHEMA, compression="zstd", use_dictionary=False, write_page_checksum=True) as file,
    ):
        for batch in reader:
            ids = np.arange(written, written + batch.num_rows, dtype=np.int32)
            id_of_code[batch["code"].to_numpy()] = ids
            file.write_batch(pa.record_batch([pa.array(ids), batch[c.VALUE], batch[c.COUNT]], schema=VALUES_SCHEMA))
            written += batch.num_rows
    connection.unregister("counted")
    final, digest = rename_by_hash(path)
    return ColumnFile(final.relative_to(folder).as_posix(), final.stat().st_size, digest), id_of_code
