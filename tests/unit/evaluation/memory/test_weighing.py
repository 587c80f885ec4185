"""The weight of a memory is the best of the grid by NDCG@10; of a stratum, by its own mean and everybody's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltrec.evaluation.memory.weighing import Ranked, WeightChoice, WeightCurve, choose, rank_by_weight
from ltrec.evaluation.metrics import ndcg_at
from ltrec.evaluation.ranking import rank_split
from tests.support.evaluation import falling_counts, random_histories
from tests.support.memory import FORMS, V, memory, network

GRID = (0.0, 0.3, 0.6, 0.9)


def parts_of(rank_GN: np.ndarray, stratum_N: np.ndarray, size: int = 3) -> list[Ranked]:
    starts = range(0, rank_GN.shape[1], size)
    return [Ranked(i, rank_GN[:, a : a + size].astype(np.int32), stratum_N[a : a + size]) for i, a in enumerate(starts)]


cases = st.integers(1, 30).flatmap(
    lambda n: st.tuples(
        st.lists(st.integers(1, 14), min_size=4 * n, max_size=4 * n).map(lambda r: np.array(r).reshape(4, n)),
        st.lists(st.integers(0, 2), min_size=n, max_size=n).map(np.array),
    )
)


def naive(rank_GN, stratum_N, z: int | None, shrinkage: float) -> float:
    """The first weight of the highest mean, users one by one."""

    def mean(g: int) -> float:
        own = [float(ndcg_at(np.array([r]), 10)[0]) for r, s in zip(rank_GN[g], stratum_N, strict=True) if z in (None, s)]
        everybody = float(np.mean(ndcg_at(rank_GN[g], 10)))
        n = len(own) if z is not None else 1
        if z is None or not len(own) + shrinkage:
            return everybody
        return (sum(own) + shrinkage * everybody) / (n + shrinkage)

    values = [mean(g) for g in range(len(rank_GN))]
    best = max(values)
    return next(w for w, value in zip(GRID, values, strict=True) if value > best - 1e-12)


@given(cases, st.sampled_from([0.0, 1.0, 7.0, 1e9]), st.randoms(use_true_random=False))
def test_the_best_weight_wins_and_the_smallest_of_equals(case, shrinkage, random):
    rank_GN, stratum_N = case
    parts = parts_of(rank_GN, stratum_N)
    random.shuffle(parts)
    found = choose(parts, GRID, fallback=0.6, num_strata=3, shrinkage=shrinkage)
    assert found.all.weight == naive(rank_GN, stratum_N, None, 0)
    assert found.all.ndcg == pytest.approx([float(np.mean(ndcg_at(ranks, 10))) for ranks in rank_GN])
    for z, curve in enumerate(found.strata):
        assert curve.users == (stratum_N == z).sum()
        assert curve.weight in (naive(rank_GN, stratum_N, z, shrinkage), *tied(rank_GN, stratum_N, z, shrinkage))
    assert found.weights == tuple(curve.weight for curve in found.strata)
    assert choose(parts, GRID, fallback=0.6).weights == (found.all.weight,)


def tied(rank_GN, stratum_N, z, shrinkage) -> list[float]:
    """Weights that are equal but for rounding."""
    own = ndcg_at(rank_GN[:, stratum_N == z], 10).sum(axis=1) + shrinkage * ndcg_at(rank_GN, 10).mean(axis=1)
    return [w for w, value in zip(GRID, own, strict=True) if np.isclose(value, own.max(), rtol=1e-12)]


def test_a_small_stratum_is_drawn_to_everybodys_weight_and_a_large_one_is_not():
    likes_first, likes_last = np.array([[1], [2], [3], [4]]), np.array([[4], [3], [2], [1]])
    rank_GN = np.concatenate(
        [np.repeat(likes_last, 1000, axis=1), np.repeat(likes_first, 20, axis=1), np.repeat(likes_first, 400, axis=1)], axis=1
    )
    stratum_N = np.repeat([0, 1, 2], [1000, 20, 400])
    found = choose(parts_of(rank_GN, stratum_N), GRID, fallback=0.6, num_strata=3, shrinkage=200)
    assert found.weights == (0.9, 0.9, 0.0)
    assert choose(parts_of(rank_GN, stratum_N), GRID, fallback=0.6, num_strata=3).weights == (0.9, 0.0, 0.0)


def test_a_memory_that_helps_nobody_is_switched_off():
    assert choose(parts_of(np.full((4, 9), 3), np.zeros(9, int)), GRID, fallback=0.6).weights == (0.0,)


def test_without_users_nothing_is_chosen():
    assert choose([], GRID, fallback=0.6) == WeightChoice(GRID, WeightCurve(0, (), 0.6))
    assert choose([], GRID, fallback=0.6, num_strata=2).weights == (0.6, 0.6)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("filter_seen", [True, False])
def test_every_weight_ranks_as_evaluate_would(form, filter_seen):
    histories = random_histories(50, V, chunk_rows=16)
    mind = memory(form, filter_seen=filter_seen)
    found = list(rank_by_weight(mind, network, histories.warm, GRID))
    for g, w in enumerate(GRID):
        ranked = rank_split(
            mind.beside(network, [w]), histories, falling_counts(V), parts=range(4), filter_seen=filter_seen, top_k=0
        )
        expected = [part.rows.column("rank").to_pylist() for part in ranked]
        assert [part.rank_GB[g].tolist() for part in found] == expected
