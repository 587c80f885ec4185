"""How much a memory weighs: of a few weights the one that ranks a split's targets best, by NDCG@10.

    everybody     w = argmax f(w)                                        f(w): mean NDCG@10 of all n users
    stratum z     w_z = argmax (n_z f_z(w) + n_0 f(w)) / (n_z + n_0)     n_0 users of everybody's mean beside the stratum's n_z own

Of equal weights the smallest. The second is the mean that remains of a stratum's own when n_0 further users, of whom nothing but
the common curve is known, are counted with it: a stratum of few users is weighed like all, one of many as it likes best. Likelihood
chooses wrongly: it asks for the weight at which the network is sure enough, not for that which orders best.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np
import numpy.typing as npt
import torch

from ltrec.core.bounds import Between
from ltrec.data.stream.reading.histories import HistoryChunk, Score
from ltrec.evaluation.memory.scores import Memory, plain_scores
from ltrec.evaluation.metrics import ndcg_at
from ltrec.evaluation.ranking import rank_chunk
from ltrec.models.memory import blend

CUTOFF = 10
Share = Annotated[float, Between(0, 1)]


@dataclass(frozen=True, slots=True)
class WeightCurve:
    """What each weight of the grid gives a group of users.

    Attributes:
        users: n.
        ndcg: mean NDCG@10 by weight; empty without users.
        weight: the one that was chosen.
    """

    users: Annotated[int, Between(0, 2**53)]
    ndcg: tuple[Share, ...]
    weight: Annotated[float, Between(0, 100)]


@dataclass(frozen=True, slots=True)
class WeightChoice:
    """The weight, and what it was chosen by.

    Attributes:
        grid: the weights that were tried, rising.
        all: of everybody.
        strata: of each stratum of histories, where each has its own weight.
        share: what similarity by columns counts beside the counts; 0 where nothing is known of it.
        shares: best mean NDCG@10 of everybody by share that was tried; empty where there was nothing to try.
    """

    grid: tuple[Annotated[float, Between(0, 100)], ...]
    all: WeightCurve
    strata: tuple[WeightCurve, ...] = ()
    share: Annotated[float, Between(0, 1000)] = 0.0
    shares: tuple[tuple[float, Share], ...] = ()

    def __post_init__(self) -> None:
        for curve in (self.all, *self.strata):
            if len(curve.ndcg) != (len(self.grid) if curve.users else 0):
                raise ValueError(f"{len(curve.ndcg)} values of NDCG for {len(self.grid)} weights and {curve.users} users")

    @property
    def weights(self) -> tuple[float, ...]:
        """One for everybody, or one per stratum."""
        return tuple(curve.weight for curve in self.strata) or (self.all.weight,)


@dataclass(frozen=True, slots=True)
class Ranked:
    """One chunk's users: rank of the target under each of G weights, int32 [G, B], and their strata [B]."""

    index: int
    rank_GB: npt.NDArray[np.int32]
    stratum_B: npt.NDArray[np.int64]


def rank_by_weight(
    memory: Memory, network: Score, chunks: Iterable[HistoryChunk], grid: Sequence[float], items: int | None = None
) -> Iterator[Ranked]:
    """Rank every user's target under each weight of the grid, as `evaluate` would; the network scores once.

    Args:
        memory: beside it.
        network: users -> scores.
        chunks: users with a history and a target.
        grid: the weights.
        items: how many items are candidates, from the first on; None = all. Users who wanted others are left out.
    """
    for chunk in chunks:
        with torch.inference_mode():
            scores_BV = plain_scores(network, chunk)
            about, ranks = memory.about(chunk, scores_BV), []
            for weight in grid:
                weight_B = torch.full((len(scores_BV),), weight, dtype=torch.float64, device=scores_BV.device)
                blended_BV = blend(scores_BV, about, weight_B)
                ranks.append(rank_chunk(blended_BV, chunk, filter_seen=memory.filter_seen, items=items))
        kept_B = ~ranks[0].outside
        yield Ranked(chunk.index, np.stack([ranked.rank[kept_B] for ranked in ranks]), chunk.batch.stratum_B.numpy()[kept_B])


def choose(
    parts: Iterable[Ranked], grid: Sequence[float], *, unchosen: float, num_strata: int = 0, shrinkage: float = 0.0
) -> WeightChoice:
    """The weights that rank best.

    Args:
        parts: the users, in any order of chunks.
        grid: the weights that they were ranked by, rising.
        unchosen: the weight where there are no users.
        num_strata: K, to choose one for each; 0 = one for everybody.
        shrinkage: n_0.
    """
    ordered = sorted(parts, key=lambda part: part.index)
    if not ordered:
        nobody = WeightCurve(0, (), unchosen)
        return WeightChoice(tuple(grid), nobody, (nobody,) * num_strata)
    ndcg_GN = ndcg_at(np.concatenate([part.rank_GB for part in ordered], axis=1), CUTOFF)
    stratum_N = np.concatenate([part.stratum_B for part in ordered])
    everybody_G = ndcg_GN.mean(axis=1)
    strata = []
    for z in range(num_strata):
        own_GN = ndcg_GN[:, stratum_N == z]
        shrunk_G = own_GN.sum(axis=1) + shrinkage * everybody_G
        strata.append(_curve(own_GN, shrunk_G if own_GN.size else everybody_G, grid))
    return WeightChoice(tuple(grid), _curve(ndcg_GN, everybody_G, grid), tuple(strata))


def _curve(ndcg_GN: npt.NDArray[np.float64], judged_G: npt.NDArray[np.float64], grid: Sequence[float]) -> WeightCurve:
    users = ndcg_GN.shape[1]
    return WeightCurve(users, tuple(ndcg_GN.mean(axis=1).tolist()) if users else (), grid[int(np.argmax(judged_G))])


def best_share(choices: Mapping[float, WeightChoice]) -> WeightChoice:
    """Of the choices that were made with each share of similarity, that of the best NDCG@10; of equal ones the smallest share."""
    best = {share: max(choice.all.ndcg, default=0.0) for share, choice in choices.items()}
    share = min(best, key=lambda share: (-best[share], share))
    tried = tuple(sorted(best.items())) if len(choices) > 1 and choices[share].all.users else ()
    return replace(choices[share], share=share, shares=tried)
