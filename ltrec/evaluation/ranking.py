"""The rank of the target among all items, computed by counting instead of sorting.

    rank = 1 + number of *other* candidates whose score is at least the target's

so ties count against the target: a scorer that gives everything the same score is last, not lucky. Items of the history are no
candidates when `filter_seen` is on; the target always is, even if it is in the history (such repeats are marked). Where
only the first items are candidates (those with training events: ids fall with the training count), a target beyond them is
last, and marked. Ranks are integers of one fixed chunk of users, so they do not depend on how many processes share the chunks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
from torch import Tensor

from ltrec.core.errors import UserError
from ltrec.data.reach import UNKNOWN
from ltrec.data.stream.reading.histories import HistoryChunk, Score
from ltrec.evaluation.baselines import popularity
from ltrec.evaluation.catalogue import ItemCatalogue
from ltrec.evaluation.sampled.negatives import draw_negatives
from ltrec.evaluation.table import TABLE_SCHEMA, RankedRows
from ltrec.models.scoring import mask_seen
from ltrec.models.top_items import top_items


class HistorySource(Protocol):
    """The part of `SplitHistories` that ranking uses: users in fixed chunks, and separately those without history."""

    @property
    def num_cold_chunks(self) -> int:
        """Number of chunks of users without a history."""

    def __len__(self) -> int: ...

    def chunk(self, index: int) -> HistoryChunk:
        """A chunk of users with a history."""

    def cold_chunk(self, index: int) -> HistoryChunk:
        """A chunk of users without a history."""


@dataclass(frozen=True, slots=True)
class Negatives:
    """Rank among `count` sampled items instead of all."""

    count: int
    seed: int

    @property
    def phrase(self) -> str:
        """The name in the protocol."""
        return f"sampled ({self.count} uniform, seed {self.seed})"


@dataclass(frozen=True, slots=True)
class ChunkResult:
    """Ranks of the rows of one chunk, arrays [B].

    Attributes:
        rank: 1 = best, int32.
        candidates: items ranked, the target among them.
        repeat: the target is in the history.
        outside: the target is not a candidate.
        top_items: recommendations end to end, best first; never padding, never a filtered item.
        top_lengths: recommendations per row.
    """

    rank: npt.NDArray[np.int32]
    candidates: npt.NDArray[np.int32]
    repeat: npt.NDArray[np.bool_]
    outside: npt.NDArray[np.bool_]
    top_items: npt.NDArray[np.int32]
    top_lengths: npt.NDArray[np.int64]


def rank_chunk(
    scores_BV: Tensor,
    chunk: HistoryChunk,
    *,
    filter_seen: bool,
    top_k: int = 0,
    negatives: Negatives | None = None,
    items: int | None = None,
) -> ChunkResult:
    """Rank every row's target.

    Args:
        scores_BV: [B, V+1], overwritten.
        chunk: the users.
        filter_seen: filter out items of the untruncated history.
        top_k: number of recommendations; 0 = none.
        negatives: rank among sampled items only; recommendations are still made from all items.
        items: number of candidate items, ids 1 to `items`; None = all.

    Raises:
        UserError: a score is NaN; names chunk and user.
    """
    scores_BV = scores_BV.detach()[:, : None if items is None else items + 1]
    outside_B = chunk.target_B >= scores_BV.shape[1]
    if scores_BV.dtype in (torch.bfloat16, torch.float16):
        scores_BV = scores_BV.float()
    scores_BV[:, 0] = -torch.inf
    _refuse_nan(scores_BV, chunk)
    seen = _seen_pairs(chunk, scores_BV)
    target_B = chunk.target_B.masked_fill(outside_B, 0).to(scores_BV.device)
    target_score_B1 = scores_BV.gather(1, target_B[:, None])
    if filter_seen:
        mask_seen(scores_BV, seen.item_S, chunk.seen_offsets.to(scores_BV.device), target_B)
    if negatives is None:
        rank_B = _count_at_least(scores_BV, target_score_B1)
        candidates_B = np.full(len(rank_B), scores_BV.shape[1] - 1, dtype=np.int64) - (seen.others_B if filter_seen else 0)
        candidates_B = np.maximum(candidates_B, 1)  # the target is not a candidate, and no other candidate is left
    else:
        rank_B, candidates_B = _rank_sampled(scores_BV, target_score_B1, target_B, chunk, negatives, seen if filter_seen else None)
    top, lengths_B = _top_lists(scores_BV, top_k)
    # A target at -inf ties with every filtered item; its rank is at most the number of candidates.
    last_B = np.minimum(rank_B, candidates_B)
    return ChunkResult(last_B.astype(np.int32), candidates_B.astype(np.int32), seen.repeat_B, outside_B.numpy(), top, lengths_B)


@dataclass(frozen=True, slots=True)
class _Seen:
    """Seen items as (row, item) pairs, 0 for one that is not a candidate; per row, how many distinct candidates among them are not
    the
    target, and whether the target is one of them."""

    row_S: Tensor
    item_S: Tensor
    others_B: npt.NDArray[np.int64]
    repeat_B: npt.NDArray[np.bool_]


def _seen_pairs(chunk: HistoryChunk, scores_BV: Tensor) -> _Seen:
    rows, width = scores_BV.shape
    lengths = chunk.seen_offsets.diff()
    row_S = torch.repeat_interleave(torch.arange(rows), lengths)
    span = max(width, int(max(chunk.seen_T.max(), chunk.target_B.max())) + 1) if lengths.any() else width
    distinct = torch.unique(row_S * span + chunk.seen_T)
    row_D, item_D = distinct // span, distinct % span
    is_target_D = item_D == chunk.target_B[row_D]
    others_B = torch.bincount(row_D[~is_target_D & (item_D < width)], minlength=rows)
    repeat_B = torch.bincount(row_D[is_target_D], minlength=rows) > 0
    item_S = chunk.seen_T.masked_fill(chunk.seen_T >= width, 0)
    return _Seen(row_S.to(scores_BV.device), item_S.to(scores_BV.device), others_B.numpy(), repeat_B.numpy())


def _refuse_nan(scores_BV: Tensor, chunk: HistoryChunk) -> None:
    bad_B = scores_BV.amax(dim=1).isnan()  # the maximum is NaN if any entry is
    if bad_B.any():
        row = int(bad_B.nonzero()[0, 0])
        raise UserError(
            f"chunk {chunk.index}: the scores of {int(bad_B.sum())} users are NaN, first of user {chunk.user_id[row]!r}; "
            "the checkpoint has diverged: train with a lower learning rate or gradient clipping, or take an earlier checkpoint"
        )


def _count_at_least(scores_BV: Tensor, least_B1: Tensor) -> npt.NDArray[np.int64]:
    """Number of entries per row that are at least `least_B1` [B]. On the CPU, numpy counts four times as fast as torch sums."""
    if scores_BV.device.type == "cpu":
        return np.asarray(np.count_nonzero(scores_BV.numpy() >= least_B1.numpy(), axis=1))
    return np.asarray((scores_BV >= least_B1).sum(dim=1).cpu())


def _rank_sampled(
    scores_BV: Tensor, target_score_B1: Tensor, target_B: Tensor, chunk: HistoryChunk, negatives: Negatives, seen: _Seen | None
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    rows = torch.arange(len(target_B), device=target_B.device)
    row_P, item_P = (rows, target_B) if seen is None else (torch.cat([rows, seen.row_S]), torch.cat([target_B, seen.item_S]))
    key_B = chunk.batch.user_key_B.to(target_B.device)
    item_BN, real_BN = draw_negatives(key_B, scores_BV.shape[1] - 1, negatives.count, negatives.seed, (row_P, item_P))
    ahead_BN = real_BN & (scores_BV.gather(1, item_BN) >= target_score_B1)
    return 1 + ahead_BN.sum(dim=1).cpu().numpy(), 1 + real_BN.sum(dim=1).cpu().numpy()


def _top_lists(scores_BV: Tensor, top_k: int) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
    if not top_k:
        return np.zeros(0, dtype=np.int32), np.zeros(scores_BV.shape[0], dtype=np.int64)
    value_BK, item_BK = top_items(scores_BV, top_k)
    real_BK = value_BK > -torch.inf
    return item_BK[real_BK].to(torch.int32).cpu().numpy(), real_BK.sum(dim=1).cpu().numpy()


def num_parts(histories: HistorySource) -> int:
    """Number of chunks to rank: those with a history first, then the cold ones. They are distributed over processes by number."""
    return len(histories) + histories.num_cold_chunks


def rank_split(
    score: Score,
    histories: HistorySource,
    train_count: Tensor,
    *,
    parts: Iterable[int],
    filter_seen: bool,
    top_k: int,
    negatives: Negatives | None = None,
    seen_only: bool = False,
) -> Iterator[RankedRows]:
    """Rank the given chunks of a split, one after another. Users without a history are ranked by popularity for every scorer.

    Args:
        score: users -> scores.
        histories: the users.
        train_count: training events per item [V+1].
        parts: which of the `num_parts` chunks; rank r of W takes range(r, num_parts, W).
        filter_seen: filter out items of the history.
        top_k: recommendations kept per user.
        negatives: see `rank_chunk`.
        seen_only: items without training events are not candidates.
    """
    catalogue, by_popularity = ItemCatalogue.of(train_count), popularity(train_count)
    items = catalogue.num_seen if seen_only else None
    for index in parts:
        warm = index < len(histories)
        chunk = histories.chunk(index) if warm else histories.cold_chunk(index - len(histories))
        with torch.inference_mode():
            scores_BV = (score if warm else by_popularity)(chunk)
            result = rank_chunk(scores_BV, chunk, filter_seen=filter_seen, top_k=top_k, negatives=negatives, items=items)
        yield RankedRows(index, _rows(chunk, result, catalogue))


def _rows(chunk: HistoryChunk, result: ChunkResult, catalogue: ItemCatalogue) -> pa.Table:
    target = chunk.target_B.numpy()
    columns: list[Any] = [
        chunk.user_id,
        chunk.batch.user_key_B.numpy(),
        chunk.stratum_B.numpy().astype(np.int8),
        chunk.activity_B.numpy().astype(np.int32),
        chunk.history_length_B.numpy().astype(np.int32),
        target.astype(np.int32),
        catalogue.count_of(target),
        result.repeat,
        np.full(target.size, UNKNOWN, np.int8),
        result.rank,
        result.candidates,
        pa.ListArray.from_arrays(
            pa.array(np.concatenate([[0], np.cumsum(result.top_lengths)]), pa.int32()),
            pa.array(result.top_items, pa.int32()),
            type=TABLE_SCHEMA.field(len(TABLE_SCHEMA) - 1).type,
        ),
    ]
    arrays = [v if isinstance(v, pa.Array) else pa.array(v, f.type) for v, f in zip(columns, TABLE_SCHEMA, strict=True)]
    return pa.Table.from_arrays(arrays, schema=TABLE_SCHEMA)
