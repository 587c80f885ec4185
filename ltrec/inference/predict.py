"""Recommendations for known users: the k best items given each user's whole stored history, as a Parquet file of raw ids.

The file has a row per recommendation and a row group per chunk of users. Memory is that of one chunk (users x items scores, users x
k rows) for any number of users. The file is written under a temporary name and renamed when it is complete.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from ltrec.core import columns as c
from ltrec.core.errors import UserError
from ltrec.core.storage.atomic import atomic_path
from ltrec.data.stream.reading.histories import HistoryChunk
from ltrec.inference.rankings import Ranking

RANK = "rank"  # 1 = best, int16
SCORE = "score"  # the model's score, float32; comparable within a user only
PREDICTION_SCHEMA = pa.schema(
    [
        pa.field(c.USER_ID, pa.string(), nullable=False),
        pa.field(RANK, pa.int16(), nullable=False),
        pa.field(c.ITEM_ID, pa.string(), nullable=False),
        pa.field(SCORE, pa.float32(), nullable=False),
    ]
)
INDEX = b"ltrec.index"
MOST = int(np.iinfo(np.int16).max)


class Chunks(Protocol):
    """Users in chunks, as `SplitHistories` has them."""

    def __len__(self) -> int: ...

    def chunk(self, index: int) -> HistoryChunk:
        """Chunk number `index`."""


def predict(
    ranking: Ranking,
    histories: Chunks,
    item_id: list[str],
    *,
    out: Path,
    index: str = "",
    on_progress: Callable[[int, int], None] = lambda *_: None,
) -> int:
    """Write the k best items of every user; a user with fewer items left gets fewer rows.

    Args:
        ranking: users -> the best items that may be recommended.
        histories: the users.
        item_id: raw ids [V+1], entry 0 unused.
        out: the file.
        index: digest of the index that ranks, for the file's metadata; empty = none.
        on_progress: called with the number of chunks done and of all chunks.

    Returns:
        Number of rows written.

    Raises:
        UserError: k is out of range, or a score is NaN.
    """
    if not 1 <= ranking.rules.k <= MOST:
        raise UserError(f"k is {ranking.rules.k}; it must be 1 to {MOST} recommendations per user")
    names, written = pa.array(item_id, pa.string()), 0
    schema = PREDICTION_SCHEMA.with_metadata({INDEX: index}) if index else PREDICTION_SCHEMA
    with (
        atomic_path(out) as temporary,
        pq.ParquetWriter(temporary, schema, compression="zstd", write_page_checksum=True) as writer,
    ):
        for number in range(len(histories)):
            rows = _rows(ranking, histories.chunk(number), names)
            writer.write_table(rows.replace_schema_metadata(schema.metadata), row_group_size=max(1, rows.num_rows))
            written += rows.num_rows
            on_progress(number + 1, len(histories))
    return written


def _rows(ranking: Ranking, chunk: HistoryChunk, names: pa.Array) -> pa.Table:
    """The chunk's recommendations, in the order of users, best first."""
    value_BK, item_BK = ranking.best(chunk, None)
    row_R, place_R = (value_BK > -torch.inf).nonzero(as_tuple=True)
    columns = [
        pa.array(chunk.user_id, pa.string()).take(pa.array(row_R.numpy())),
        pa.array((place_R + 1).to(torch.int16).numpy()),
        names.take(pa.array(item_BK[row_R, place_R].numpy())),
        pa.array(value_BK[row_R, place_R].numpy()),
    ]
    return pa.Table.from_arrays(columns, schema=PREDICTION_SCHEMA)
