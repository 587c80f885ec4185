"""Recommendations for known users: the k best items given each user's whole stored history, as a Parquet file of raw ids.

The file has a row per recommendation and a row group per chunk of users. Memory is that of one chunk (users x items scores, users x
k rows) for any number of users. The file is written under a temporary name and renamed when it is complete.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import Tensor

from ltrec.core import columns as c
from ltrec.core.errors import UserError
from ltrec.core.storage.atomic import atomic_path
from ltrec.data.stream.reading.histories import HistoryChunk, Score
from ltrec.models.scoring import mask_seen
from ltrec.models.top_items import top_items

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
MOST = int(np.iinfo(np.int16).max)


class Chunks(Protocol):
    """Users in chunks, as `SplitHistories` has them."""

    def __len__(self) -> int: ...

    def chunk(self, index: int) -> HistoryChunk:
        """Chunk number `index`."""


def predict(
    score: Score,
    histories: Chunks,
    item_id: list[str],
    *,
    k: int,
    filter_seen: bool,
    out: Path,
    items: int | None = None,
    on_progress: Callable[[int, int], None] = lambda *_: None,
) -> int:
    """Write the k best items of every user.

    Args:
        score: users -> scores.
        histories: the users.
        item_id: raw ids [V+1], entry 0 unused.
        k: recommendations per user; a user with fewer items left gets fewer rows.
        filter_seen: do not recommend items of the user's history.
        out: the file.
        items: how many items are candidates, from the first on; None = all.
        on_progress: called with the number of chunks done and of all chunks.

    Returns:
        Number of rows written.

    Raises:
        UserError: k is out of range, or a score is NaN.
    """
    if not 1 <= k <= MOST:
        raise UserError(f"k is {k}; it must be 1 to {MOST} recommendations per user")
    names, written = pa.array(item_id, pa.string()), 0
    with (
        atomic_path(out) as temporary,
        pq.ParquetWriter(temporary, PREDICTION_SCHEMA, compression="zstd", write_page_checksum=True) as writer,
    ):
        for done, rows in enumerate(_predicted(score, histories, names, k, filter_seen, items), 1):
            writer.write_table(rows, row_group_size=max(1, rows.num_rows))
            written += rows.num_rows
            on_progress(done, len(histories))
    return written


def _predicted(
    score: Score, histories: Chunks, names: pa.Array, k: int, filter_seen: bool, items: int | None
) -> Iterator[pa.Table]:
    width = None if items is None else items + 1
    for index in range(len(histories)):
        chunk = histories.chunk(index)
        with torch.inference_mode():
            yield _rows(score(chunk)[:, :width], chunk, names, k, filter_seen)


def _rows(scores_BV: Tensor, chunk: HistoryChunk, names: pa.Array, k: int, filter_seen: bool) -> pa.Table:
    """The chunk's recommendations, in the order of users, best first."""
    scores_BV[:, 0] = -torch.inf
    bad_B = scores_BV.amax(dim=1).isnan()
    if bad_B.any():
        user = chunk.user_id[int(bad_B.nonzero()[0, 0])]
        raise UserError(f"chunk {chunk.index}: the scores of user {user!r} are NaN; the checkpoint has diverged; use another one")
    if filter_seen:
        seen_T = chunk.seen_T.masked_fill(chunk.seen_T >= scores_BV.shape[1], 0)
        mask_seen(scores_BV, seen_T.to(scores_BV.device), chunk.seen_offsets.to(scores_BV.device))
    value_BK, item_BK = (t.cpu() for t in top_items(scores_BV, k))
    row_R, place_R = (value_BK > -torch.inf).nonzero(as_tuple=True)
    columns = [
        pa.array(chunk.user_id, pa.string()).take(pa.array(row_R.numpy())),
        pa.array((place_R + 1).to(torch.int16).numpy()),
        names.take(pa.array(item_BK[row_R, place_R].numpy())),
        pa.array(value_BK[row_R, place_R].to(torch.float32).numpy()),
    ]
    return pa.Table.from_arrays(columns, schema=PREDICTION_SCHEMA)
