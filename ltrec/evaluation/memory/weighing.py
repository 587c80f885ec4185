"""The weight of a memory: the one of a few weights that ranks a split's targets best, by NDCG@10.

    all users     w = argmax f(w)                                        f(w): mean NDCG@10 of all n users
    stratum z     w_z = argmax (n_z f_z(w) + n_0 f(w)) / (n_z + n_0)     n_0 users with the overall mean, and n_z of the stratum

Of equally good weights the smallest is chosen. The second formula is the mean of the stratum together with n_0 users for whom only
the overall curve is known: a stratum with few users gets the common weight, one with many its own. Likelihood would be the wrong
criterion: it selects the weight with the best calibrated probabilities, not with the best order.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
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
    """NDCG of a group of users under each weight of the grid.

    Attributes:
        users: n.
        ndcg: mean NDCG@10 by weight; empty without users.
        weight: the chosen one.
    """

    users: Annotated[int, Between(0, 2**53)]
    ndcg: tuple[Share, ...]
    weight: Annotated[float, Between(0, 100)]


@dataclass(frozen=True, slots=True)
class WeightChoice:
    """The chosen weight, and what it was chosen by.

    Attributes:
        grid: the weights that were tried, ascending.
        all: the curve of all users.
        strata: the curve of each stratum of histories, if each has its own weight.
        share: factor on similarity by columns when it is added to the counts; 0 without item columns.
        shares: best mean NDCG@10 over all users for each share that was tried; empty if none was.
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
        """One for all users, or one per stratum."""
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
        memory: added to the network.
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


def in_order(parts: Iterable[Ranked]) -> list[Ranked]:
    """Parts in the order of their users."""
    return sorted(parts, key=lambda part: part.index)


def choose(
    parts: Iterable[Ranked], grid: Sequence[float], *, fallback: float, num_strata: int = 0, shrinkage: float = 0.0
) -> WeightChoice:
    """The weights that rank best.

    Args:
        parts: the users, in any order of chunks.
        grid: the weights that they were ranked by, ascending.
        fallback: the weight without users.
        num_strata: K, to choose one weight for each; 0 = one for all users.
        shrinkage: n_0.
    """
    ordered = in_order(parts)
    if not ordered:
        empty = WeightCurve(0, (), fallback)
        return WeightChoice(tuple(grid), empty, (empty,) * num_strata)
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
