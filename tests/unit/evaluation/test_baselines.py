"""Baselines that know neighbours: their scores in loops, and whom they offer what when they know nothing."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ltrec.data.neighbours.table import Neighbours
from ltrec.evaluation.baselines import DECAY, LAST, item_knn, transitions
from ltrec.evaluation.ranking import rank_chunk
from tests.support.evaluation import history_chunk
from tests.support.naive_neighbours import as_matrix, recalled

V = 9
COUNT = torch.tensor([0, 9, 7, 7, 5, 4, 3, 2, 1, 0])


def table(seed: int = 0) -> Neighbours:
    """Three distinct neighbours per item, none for the last three items."""
    draw = np.random.default_rng(seed)
    item_VN = np.stack([draw.permutation(np.arange(1, V + 1))[:3] for _ in range(V + 1)]).astype(np.int32)
    item_VN[0] = item_VN[-3:] = 0
    weight_VN = np.where(item_VN > 0, draw.random(item_VN.shape), 0).astype(np.float32)
    return Neighbours(torch.from_numpy(item_VN), torch.from_numpy(weight_VN), {})


def last_places(history: list[int]) -> list[int]:
    """Each item once, where it stands last."""
    return [item for n, item in enumerate(history) if item not in history[n + 1 :]]


histories_ = st.lists(st.lists(st.integers(1, V), min_size=1, max_size=7), min_size=1, max_size=5)


@given(histories_, st.integers(0, 9), st.sampled_from(["transitions", "item-knn"]))
def test_recalled_items_have_their_sums_and_all_others_come_after_them_by_popularity(histories, seed, name):
    found, chunk = table(seed), history_chunk(histories, [1] * len(histories))
    M_VV = as_matrix(found.item_VN.numpy(), found.weight_VN.numpy())
    if name == "transitions":
        scores_BV, naive_BV = transitions(found, COUNT)(chunk), recalled(histories, M_VV, DECAY, LAST)
    else:
        scores_BV = item_knn(found, COUNT)(chunk)
        naive_BV = recalled([last_places(history) for history in histories], M_VV, 1.0, LAST)
    known_BV = torch.from_numpy(naive_BV > 0)
    torch.testing.assert_close(scores_BV[known_BV].double(), torch.from_numpy(naive_BV)[known_BV], rtol=1e-5, atol=0)
    for scores_V, known_V in zip(scores_BV, known_BV, strict=True):
        unknown = scores_V[~known_V]
        assert (unknown < 0).all()
        assert (unknown[:, None] < unknown).equal(COUNT[~known_V][:, None] < COUNT[~known_V])


@pytest.mark.parametrize("scorer", [transitions, item_knn])
def test_items_without_neighbours_give_popular_recommendations(scorer):
    chunk = history_chunk([[8], [9, 7]], [2, 4])
    result = rank_chunk(scorer(table(), COUNT)(chunk), chunk, filter_seen=True, top_k=4)
    assert result.rank.tolist() == [3, 4], "item 3 is as popular as item 2 and counts against it"
    assert result.top_items.tolist() == [1, 2, 3, 4] * 2


def test_only_the_last_items_are_used():
    long = [7] + [8] * LAST
    for scorer in (transitions, item_knn):
        found = table()
        found.item_VN[7], found.weight_VN[7] = torch.tensor([[1, 2, 3], [0, 0, 0]])[0], torch.tensor([1.0, 1.0, 1.0])
        near, far = (scorer(found, COUNT)(history_chunk([history], [1]))[0] for history in (long[:LAST], long))
        assert (near[1:4] > 0).all()
        assert (far < 0).all()
