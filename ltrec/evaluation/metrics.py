"""Metrics of one held-out target per user, as functions of its rank. One value per user; means and groups come later.

HR@k     1 if rank <= k                    (with a single target Recall@k is the same number)
NDCG@k   1 / log2(1 + rank) if rank <= k   (the ideal list has gain 1)
MRR@k    1 / rank           if rank <= k;  MRR without @ is not cut
AUC      share of the other candidates that the target beats; its mean over users is also called GAUC
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Ranks = npt.NDArray[np.integer]
Floats = npt.NDArray[np.float64]
Values = dict[str, Floats]


def per_user(rank_N: Ranks, candidates_N: Ranks, cutoffs: Sequence[int]) -> Values:
    """Every metric of every user.

    Args:
        rank_N: rank of the target, 1 = best, at most candidates_N.
        candidates_N: items ranked, the target among them.
        cutoffs: the list lengths k.

    Returns:
        ``hr@k``, ``ndcg@k``, ``mrr@k``, ``recall@k`` for every k, ``mrr`` and ``auc``, each [N].
    """
    values: Values = {}
    for k in cutoffs:
        values[f"hr@{k}"] = values[f"recall@{k}"] = hit_at(rank_N, k)
        values[f"ndcg@{k}"] = ndcg_at(rank_N, k)
        values[f"mrr@{k}"] = reciprocal_at(rank_N, k)
    return values | {"mrr": 1 / rank_N.astype(np.float64), "auc": auc(rank_N, candidates_N)}


def hit_at(rank_N: Ranks, k: int) -> Floats:
    """HR@k of each user."""
    return (rank_N <= k).astype(np.float64)


def ndcg_at(rank_N: Ranks, k: int) -> Floats:
    """NDCG@k of each user."""
    return np.where(rank_N <= k, 1 / np.log2(1 + rank_N.astype(np.float64)), 0.0)


def reciprocal_at(rank_N: Ranks, k: int) -> Floats:
    """MRR@k of each user."""
    return np.where(rank_N <= k, 1 / rank_N.astype(np.float64), 0.0)


def auc(rank_N: Ranks, candidates_N: Ranks) -> Floats:
    """Share of the other candidates that the target beats; a tie is no win. 1/2 where there is no other candidate."""
    rivals = candidates_N.astype(np.float64) - 1
    return np.where(rivals > 0, (candidates_N - rank_N.astype(np.float64)) / np.maximum(rivals, 1), 0.5)


def nearest_cutoff(cutoffs: Sequence[int], wanted: int = 10) -> int:
    """The k to headline with: the cutoff nearest to `wanted`, the smaller one on a tie."""
    return min(cutoffs, key=lambda k: (abs(k - wanted), k))
