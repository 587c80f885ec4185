"""A prepared data set as one Parquet table that every library's script reads: `history`, `valid`, `test`, ids from 0."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ltrec.core import columns as c
from ltrec.core.storage.atomic import atomic_path
from ltrec.data.manifest import Manifest


def export(folder: Path, file: Path) -> int:
    """Write the users of a data set with both targets behind their training events.

    Args:
        folder: prepared with `split=leave_one_out`.
        file: to write.

    Returns:
        Number of items.
    """
    manifest = Manifest.load(folder)
    shards = [pq.read_table(folder / shard.path, columns=[c.ITEMS, c.VALID_AT, c.TEST_AT]) for shard in manifest.shards]
    table = pa.concat_tables(shards)
    valid_U, test_U = (table[name].to_numpy() for name in (c.VALID_AT, c.TEST_AT))
    lists = table[c.ITEMS].combine_chunks()
    items_T, starts_U = lists.flatten().to_numpy().astype(np.int64) - 1, lists.offsets.to_numpy()[:-1]
    whole_U = np.flatnonzero((valid_U > 0) & (test_U == valid_U + 1))
    history = [items_T[starts_U[u] : starts_U[u] + valid_U[u]] for u in whole_U]
    columns = {
        "history": pa.array(history, pa.list_(pa.int64())),
        "valid": items_T[starts_U[whole_U] + valid_U[whole_U]],
        "test": items_T[starts_U[whole_U] + test_U[whole_U]],
    }
    with atomic_path(file) as temporary:
        pq.write_table(pa.table(columns), temporary)
    return manifest.vocab.items
