"""The last position of every row, whose state alone ranks items: what the last layer of a network needs, no more.

Attention's last layer has then one query per row instead of one per position, and so have the layers behind it. Keys and values
stay those of all positions. One query needs no rectangle: its row is a run of neighbours.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from ltrec.core.batch import SequenceBatch
from ltrec.models.inputs.times import log_bucket


@dataclass(frozen=True, slots=True)
class LastPositions:
    """B rows of T positions.

    Attributes:
        place_B: int64 [B], place of each row's last position among all; of an empty row, some other position's.
        row_T: int64 [T], row of every position.
        offsets: int64 [B+1], row b owns positions offsets[b]:offsets[b+1].
        elapsed_T: bucket of the time from every position's event to that of its row's last; None where attention does not use time.
    """

    place_B: Tensor
    row_T: Tensor
    offsets: Tensor
    elapsed_T: Tensor | None = None

    @staticmethod
    def of(batch: SequenceBatch, time_T: Tensor | None = None) -> LastPositions:
        """Those of a batch that has a position; `time_T`: of every event, where attention uses time."""
        last = LastPositions(batch.offsets[1:].clamp(min=1) - 1, batch.row_of_position(), batch.offsets)
        return last if time_T is None else replace(last, elapsed_T=log_bucket(last.to_last(time_T)))

    def back_T(self) -> Tensor:
        """How many positions the row's last one is away [T]: 0 = it is the last."""
        return self.to_last(torch.arange(self.row_T.numel(), device=self.row_T.device))

    def to_last(self, values_T: Tensor) -> Tensor:
        """From every position's value to that at its row's last position: the difference [T]."""
        return values_T[self.place_B][self.row_T] - values_T


def attend_from_last(
    query_BHC: Tensor, key_THC: Tensor, value_THC: Tensor, last: LastPositions, biases: Sequence[Tensor] = ()
) -> Tensor:
    """Attention of each row's last position to all of its row: [B, H C]; zero for an empty row.

        sum_t softmax_t(<q_b, k_t> / sqrt(C) + bias_t) v_t        t in row b

    Args:
        query_BHC: of the last positions, by head.
        key_THC: of all positions.
        value_THC: of all positions.
        last: which position is of which row.
        biases: what is added to the logits, each [T, H].
    """
    precise = torch.promote_types(query_BHC.dtype, torch.float32)
    of_row = partial(torch.segment_reduce, offsets=last.offsets)
    logit_TH = (query_BHC.index_select(0, last.row_T) * key_THC).sum(-1, dtype=precise) / math.sqrt(query_BHC.shape[-1])
    for bias_TH in biases:
        logit_TH = logit_TH + bias_TH
    weight_TH = (logit_TH - of_row(logit_TH, "max").index_select(0, last.row_T)).exp()
    mixed_BHC = of_row(weight_TH[..., None] * value_THC, "sum") / of_row(weight_TH, "sum").clamp(min=1)[..., None]
    return mixed_BHC.flatten(1).to(value_THC.dtype)
