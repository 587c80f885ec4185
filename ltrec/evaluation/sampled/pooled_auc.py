"""AUC as for click-through models: all users' targets against all users' sampled candidates, in one pool.

    AUC = share of the pairs (target of any user, candidate of any user) in which the target scores higher; a tie is half a pair

This is what papers on click-through rates call AUC. It requires more than a ranking: the scores of different users must be
comparable. The mean over users of each user's AUC (user-AUC, GAUC) is `auc` in every evaluation table. Candidates are those of
`evaluation.candidates=sampled`, the same items among which the run's table ranks.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ltrec.core.errors import UserError
from ltrec.data.stream.reading.histories import HistoryChunk, Score
from ltrec.evaluation.ranking import Negatives
from ltrec.evaluation.sampled.negatives import draw_negatives

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


def pooled_auc(target_N: Floats, rival_M: Floats) -> float:
    """AUC of two pools of scores, in O((N + M) log M).

    Raises:
        UserError: a score is NaN.
    """
    assert len(target_N) and len(rival_M), "a pool is empty"
    if np.isnan(target_N).any() or np.isnan(rival_M).any():
        raise UserError("some scores are NaN: the checkpoint has diverged; use an earlier one")
    rivals = np.sort(rival_M)
    below = np.searchsorted(rivals, target_N, side="left")
    not_above = np.searchsorted(rivals, target_N, side="right")
    return float((below + not_above).mean() / (2 * len(rivals)))


@dataclass(frozen=True, slots=True)
class Pools:
    """Scores of N users' targets and of their C sampled candidates.

    Attributes:
        target_N: of the targets.
        rival_NC: of the candidates.
        real_NC: which of these are valid; a user with few items left has fewer.
    """

    target_N: Floats
    rival_NC: Floats
    real_NC: Mask

    def auc(self, users_N: Mask) -> float:
        """AUC of these users; NaN without users.

        Raises:
            UserError: a score is NaN.
        """
        rivals_M = self.rival_NC[users_N][self.real_NC[users_N]]
        return pooled_auc(self.target_N[users_N], rivals_M) if len(rivals_M) else math.nan


def sampled_scores(scores_BV: Tensor, chunk: HistoryChunk, negatives: Negatives, *, filter_seen: bool) -> Pools:
    """Scores of the chunk's targets and of the candidates that ranking with `negatives` samples.

    Args:
        scores_BV: [B, V+1].
        chunk: the users.
        negatives: number and seed of the samples.
        filter_seen: do not sample items of the history.
    """
    rows = torch.arange(len(chunk.target_B))
    row_P, item_P = rows, chunk.target_B
    if filter_seen:
        row_P = torch.cat([rows, torch.repeat_interleave(rows, chunk.seen_offsets.diff())])
        item_P = torch.cat([chunk.target_B, chunk.seen_T])
    num_items, user_key_B = scores_BV.shape[1] - 1, chunk.batch.user_key_B
    item_BC, real_BC = draw_negatives(user_key_B, num_items, negatives.count, negatives.seed, (row_P, item_P))
    scores_BV = scores_BV.detach().double().cpu()
    return Pools(scores_BV.gather(1, chunk.target_B[:, None])[:, 0].numpy(), scores_BV.gather(1, item_BC).numpy(), real_BC.numpy())


def score_pools(score: Score, chunks: Iterable[HistoryChunk], negatives: Negatives, *, filter_seen: bool) -> Pools:
    """All chunks, concatenated: the users with a history, in the order of an evaluation table."""
    with torch.inference_mode():
        parts = [sampled_scores(score(chunk), chunk, negatives, filter_seen=filter_seen) for chunk in chunks]
    return Pools(*(np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(Pools)))
