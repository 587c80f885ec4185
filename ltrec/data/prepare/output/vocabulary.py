"""Dense item ids 1..V by descending training count, ties by raw id: frequent items get small numbers, which compress well.

The counts are of the stored training events (after the history cap), so they can be recomputed from the shards alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from ltrec.core import columns as c
from ltrec.core.storage.atomic import atomic_path, rename_by_hash
from ltrec.data.manifest import Vocab
from ltrec.data.prepare.database import Connection, one_row, quoted
from ltrec.data.prepare.engines.protocol import Engine
from ltrec.data.prepare.sorting.grouping import UserBlock
from ltrec.data.schema import VOCAB_SCHEMA

FOLDER, STEM = "vocab", "items"
ROW_GROUP = 1 << 16
DENSE = 8
"""Events of a block are counted in a table of all items, unless that has this many times as many entries."""


def keep_items(engine: Engine) -> int:
    """Keep only the `items` that still have events, and count these in the table `item_events`; return the largest code + 1."""
    engine.gather("item_events", "SELECT code, count(*) AS events FROM events GROUP BY code")
    engine.catalogue.execute(
        "CREATE TABLE kept AS FROM items SEMI JOIN item_events USING (code); DROP TABLE items; ALTER TABLE kept RENAME TO items"
    )
    return one_row(engine.catalogue, "SELECT max(code) + 1 FROM items")[0]


def count_training(stream: Iterable[UserBlock], codes: int) -> npt.NDArray[np.int64]:
    """Training events per item code [codes]."""
    total = np.zeros(codes, dtype=np.int64)
    for block in stream:
        trained = block.codes[block.trained()]
        if codes <= DENSE * len(trained):
            total += np.bincount(trained, minlength=codes)
        else:
            seen, counts = np.unique(trained, return_counts=True)
            total[seen] += counts
    return total


def write_vocabulary(
    connection: Connection, counts: npt.NDArray[np.int64], known: int, folder: Path, like: Path | None = None
) -> tuple[Vocab, npt.NDArray[np.int32]]:
    """Write the vocabulary file; return its entry and the map from code to id (0 where an item was filtered out).

    Args:
        connection: with the table `items`.
        counts: training events of every code.
        known: items from this code on have no events; they come last.
        folder: of the data set to be.
        like: vocabulary file of another data set, whose items come first, in its order; None = there is none.
    """
    before, first = "", ""
    if like is not None:
        before = f" LEFT JOIN read_parquet({quoted(like)}) AS like_it ON like_it.{c.ITEM_ID} = items.item_id"
        first = f"like_it.{c.ITEM} NULLS LAST, "
    connection.register("counted", pa.table({"code": np.arange(len(counts), dtype=np.int32), "train_count": counts}))
    reader = connection.sql(
        f"SELECT code, items.item_id AS {c.ITEM_ID}, counted.train_count AS {c.TRAIN_COUNT}"
        f" FROM items JOIN counted USING (code){before}"
        f" ORDER BY {first}counted.train_count DESC, code >= {known}, items.item_id"
    ).to_arrow_reader(ROW_GROUP)
    id_of_code = np.zeros(len(counts), dtype=np.int32)
    written = 0
    with (
        atomic_path(path := folder / FOLDER / f"{STEM}.tmp") as temporary,
        pq.ParquetWriter(temporary, VOCAB_SCHEMA, compression="zstd", use_dictionary=False, write_page_checksum=True) as file,
    ):
        for batch in reader:
            ids = np.arange(written + 1, written + 1 + batch.num_rows, dtype=np.int32)
            id_of_code[batch["code"].to_numpy()] = ids
            file.write_batch(pa.record_batch([pa.array(ids), batch[c.ITEM_ID], batch[c.TRAIN_COUNT]], schema=VOCAB_SCHEMA))
            written += batch.num_rows
    connection.unregister("counted")
    final, digest = rename_by_hash(path)
    return Vocab(final.relative_to(folder).as_posix(), written, final.stat().st_size, digest), id_of_code
