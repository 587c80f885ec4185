"""Scores with a memory: the network's scores, and what `recall` adds to them from the history."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ltrec.data.neighbours.table import Neighbours
from ltrec.data.stream.reading.histories import HistoryChunk, Score
from ltrec.models.memory import Remembered, blend, remember
from ltrec.models.recall import recall

_BLOCK = 1 << 20
"""Number of scores processed at once on a CPU. The memory of a small block is reused and stays in the cache, while that of a whole
chunk is allocated by the system every time, which is three times as slow."""


@dataclass(frozen=True, slots=True)
class Memory:
    """Neighbours of items, and how they are looked up for a history.

    Attributes:
        neighbours: of every item, on the network's device.
        form: `mix` or `log` (`ltrec.models.memory`).
        decay: factor on an item's neighbours per step back in the history.
        last: number of last items of a history that are looked up.
        filter_seen: whether items of the history are excluded.
        similar: items that are similar by their columns; None = unknown.
        share: factor on similarity when it is added to the weights of `neighbours`.
    """

    neighbours: Neighbours
    form: str
    decay: float
    last: int
    filter_seen: bool
    similar: Neighbours | None = None
    share: float = 0.0

    def about(self, chunk: HistoryChunk, scores_BV: Tensor) -> Remembered:
        """The memory's recalled items for a chunk of users, given their network scores [B, V+1]."""
        seen_T, offsets = (tensor.to(scores_BV.device) for tensor in (chunk.seen_T, chunk.seen_offsets))
        rows = len(scores_BV) if scores_BV.is_cuda else max(1, _BLOCK // scores_BV.shape[1])
        starts = range(0, len(scores_BV), rows)
        spare_BV = self.neighbours.weight_VN.new_empty(min(rows, len(scores_BV)), scores_BV.shape[1])
        parts = [
            self._about_rows(seen_T, offsets[start : start + rows + 1], scores_BV[start : start + rows], spare_BV)
            for start in starts
        ]
        return Remembered.joined(parts, starts, scores_BV.shape[1])

    def _about_rows(self, seen_T: Tensor, offsets: Tensor, scores_BV: Tensor, spare_BV: Tensor) -> Remembered:
        """The same for some of the rows, whose offsets need not begin at 0; `spare_BV` is overwritten."""
        seen_S, offsets = seen_T[offsets[0] : offsets[-1]], offsets - offsets[0]
        memory_BV = self._recalled(self.neighbours, seen_S, offsets, spare_BV)
        if self.similar is not None and self.share:
            memory_BV.add_(self._recalled(self.similar, seen_S, offsets), alpha=self.share)
        rows = torch.arange(len(scores_BV), device=scores_BV.device)
        row_S = torch.repeat_interleave(rows, offsets.diff(), output_size=seen_S.numel())
        return remember(scores_BV, memory_BV, self.form, (row_S, seen_S) if self.filter_seen else None)

    def _recalled(self, table: Neighbours, seen_T: Tensor, offsets: Tensor, out: Tensor | None = None) -> Tensor:
        return recall(seen_T, offsets, table.item_VN, table.weight_VN, decay=self.decay, last=self.last, out=out)

    def beside(self, network: Score, weights: Sequence[float]) -> Score:
        """A network's scores combined with this memory.

        Args:
            network: users -> scores.
            weights: w, one for all users or one per stratum of histories (the stratum that chooses plugins).
        """
        weight_K = torch.tensor(weights, dtype=torch.float64)

        def score(chunk: HistoryChunk) -> Tensor:
            with torch.inference_mode():
                scores_BV = plain_scores(network, chunk)
                weight_B = weight_K.expand(len(scores_BV)) if len(weight_K) == 1 else weight_K[chunk.batch.stratum_B]
                return blend(scores_BV, self.about(chunk, scores_BV), weight_B.to(scores_BV.device))

        return score


def plain_scores(network: Score, chunk: HistoryChunk) -> Tensor:
    """A network's scores [B, V+1], at least float32 and contiguous, padding -inf."""
    scores_BV = network(chunk)
    scores_BV = scores_BV.to(torch.promote_types(scores_BV.dtype, torch.float32)).contiguous()
    scores_BV[:, 0] = -torch.inf
    return scores_BV
