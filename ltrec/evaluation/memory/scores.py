"""Scores with a memory: a network's, and what `recall` adds to them for the whole history, seen items being no candidates."""

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
"""Scores that are looked at at once on a CPU: memory for a block is found again where it was and stays warm, while that for a whole
chunk is the system's every time, which makes it three times as slow."""


@dataclass(frozen=True, slots=True)
class Memory:
    """What is known of items, and how a history asks for it.

    Attributes:
        neighbours: of every item, on the device where the network scores.
        form: `mix` or `log` (`ltrec.models.memory`).
        decay: what every step back in the history multiplies its item's neighbours with.
        last: items of a history that are looked up.
        filter_seen: items of the history are no candidates.
        similar: items that are alike by their columns; None = nothing is known of that.
        share: what similarity counts beside the weights of `neighbours`.
    """

    neighbours: Neighbours
    form: str
    decay: float
    last: int
    filter_seen: bool
    similar: Neighbours | None = None
    share: float = 0.0

    def about(self, chunk: HistoryChunk, scores_BV: Tensor) -> Remembered:
        """What is remembered of a chunk's users, beside a network's scores of them [B, V+1]."""
        seen_T, offsets = (tensor.to(scores_BV.device) for tensor in (chunk.seen_T, chunk.seen_offsets))
        rows = len(scores_BV) if scores_BV.is_cuda else max(1, _BLOCK // scores_BV.shape[1])
        starts = range(0, len(scores_BV), rows)
        parts = [self._about_rows(seen_T, offsets[start : start + rows + 1], scores_BV[start : start + rows]) for start in starts]
        return Remembered.joined(parts, starts)

    def _about_rows(self, seen_T: Tensor, offsets: Tensor, scores_BV: Tensor) -> Remembered:
        """Of some of them, whose offsets may begin anywhere."""
        seen_S, offsets = seen_T[offsets[0] : offsets[-1]], offsets - offsets[0]
        memory_BV = self._recalled(self.neighbours, seen_S, offsets)
        if self.similar is not None and self.share:
            memory_BV.add_(self._recalled(self.similar, seen_S, offsets), alpha=self.share)
        rows = torch.arange(len(scores_BV), device=scores_BV.device)
        row_S = torch.repeat_interleave(rows, offsets.diff(), output_size=seen_S.numel())
        return remember(scores_BV, memory_BV, self.form, (row_S, seen_S) if self.filter_seen else None)

    def _recalled(self, table: Neighbours, seen_T: Tensor, offsets: Tensor) -> Tensor:
        return recall(seen_T, offsets, table.item_VN, table.weight_VN, decay=self.decay, last=self.last)

    def beside(self, network: Score, weights: Sequence[float]) -> Score:
        """A network's scores with this memory's.

        Args:
            network: users -> scores.
            weights: w, a single one for everybody or one per stratum of histories, as plugins are routed.
        """
        weight_K = torch.tensor(weights, dtype=torch.float64)

        def score(chunk: HistoryChunk) -> Tensor:
            with torch.inference_mode():
                scores_BV = plain_scores(network, chunk)
                weight_B = weight_K.expand(len(scores_BV)) if len(weight_K) == 1 else weight_K[chunk.batch.stratum_B]
                return blend(scores_BV, self.about(chunk, scores_BV), weight_B.to(scores_BV.device))

        return score


def plain_scores(network: Score, chunk: HistoryChunk) -> Tensor:
    """A network's scores [B, V+1], at least float32, padding -inf."""
    scores_BV = network(chunk)
    scores_BV = scores_BV.to(torch.promote_types(scores_BV.dtype, torch.float32))
    scores_BV[:, 0] = -torch.inf
    return scores_BV
