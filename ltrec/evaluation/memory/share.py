"""The share of similarity by columns in a memory: the smallest one that is not worse than the best by more than chance explains.

    share    the smallest s with mean_u d_u(s) <= std_u d_u(s) / sqrt(n)
    d_u(s)   NDCG@10 of user u under the best share less that under s

This is the rule of one standard error (Breiman et al., Classification and Regression Trees, 1984, section 3.4.3); d is paired by
user. The best mean alone would be chosen by luck where users are few: on MovieLens-100K, with 943, it switched similarity on for
gains on validation of 0.0 to 1.0 standard errors (benchmarks/LOG.md).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from ltrec.evaluation.memory.weighing import CUTOFF, Ranked, WeightChoice, in_order
from ltrec.evaluation.metrics import ndcg_at


def choose_share(choices: Mapping[float, WeightChoice], ranked: Mapping[float, Sequence[Ranked]]) -> WeightChoice:
    """The choice of the smallest share within one standard error of the best.

    Args:
        choices: share -> the weights chosen for it.
        ranked: share -> users ranked under each weight, by which they were chosen; the same users for every share.
    """
    best = {share: max(choice.all.ndcg, default=0.0) for share, choice in choices.items()}
    smallest = min(choices)
    if len(choices) == 1 or not choices[smallest].all.users:
        return replace(choices[smallest], share=smallest)
    ndcg = {share: _ndcg(choices[share], ranked[share]) for share in choices}
    highest = max(best, key=lambda share: best[share])
    share = min(share for share in best if _within_error(ndcg[highest] - ndcg[share]))
    return replace(choices[share], share=share, shares=tuple(sorted(best.items())))


def _ndcg(choice: WeightChoice, parts: Sequence[Ranked]) -> npt.NDArray[np.float64]:
    """NDCG@10 of every user under the weight that is best for all of them [N]."""
    row = choice.grid.index(choice.all.weight)
    return ndcg_at(np.concatenate([part.rank_GB[row] for part in in_order(parts)]), CUTOFF)


def _within_error(difference_N: npt.NDArray[np.float64]) -> bool:
    """Whether the mean is not above its standard error; that of a single user is unknown, so it counts as infinite."""
    users = len(difference_N)
    return users < 2 or float(difference_N.mean()) <= float(difference_N.std(ddof=1)) / users**0.5
