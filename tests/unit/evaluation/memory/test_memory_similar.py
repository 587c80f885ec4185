"""Similarity beside counts: a memory of both is that of one table with both added up; its share is chosen by validation."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from ltrec.data.neighbours.table import Neighbours
from ltrec.evaluation.memory.text import memory_facts, memory_text
from ltrec.evaluation.memory.weighing import WeightChoice, WeightCurve, best_share
from tests.support.evaluation import random_histories
from tests.support.memory import FORMS, V, memory, neighbours, network


def dense(table: Neighbours) -> torch.Tensor:
    return torch.zeros(V + 1, V + 1).scatter_add_(1, table.item_VN.long(), table.weight_VN)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("share", [0.0, 0.1, 2.0])
def test_both_tables_are_one_with_their_weights_added_up(form, share):
    alone, similar = memory(form), neighbours(seed=5)
    summed_VV = dense(alone.neighbours) + share * dense(similar)
    item_VN = torch.arange(V + 1, dtype=torch.int32).expand(V + 1, V + 1)
    one = replace(alone, neighbours=Neighbours(item_VN * (summed_VV > 0), summed_VV, {}))
    chunk = random_histories(20, V, chunk_rows=20).chunk(0)
    both = replace(alone, similar=similar, share=share).beside(network, [0.4])(chunk)
    torch.testing.assert_close(both, one.beside(network, [0.4])(chunk))
    if share:
        assert not torch.equal(both, alone.beside(network, [0.4])(chunk))


def choice(*ndcg: float) -> WeightChoice:
    curve = WeightCurve(7 if ndcg else 0, ndcg, 0.3)
    return WeightChoice((0.0, 0.3), curve)


def test_the_share_of_the_best_ndcg_wins_and_the_smallest_of_equals():
    assert best_share({0.0: choice(0.1, 0.2), 0.1: choice(0.1, 0.3), 0.5: choice(0.1, 0.25)}).share == 0.1
    assert best_share({0.0: choice(0.1, 0.2), 0.1: choice(0.1, 0.2)}).share == 0.0
    found = best_share({0.0: choice(0.1, 0.2), 0.1: choice(0.15, 0.1)})
    assert found.shares == ((0.0, 0.2), (0.1, 0.15)) and found.share == 0.0
    assert best_share({0.0: choice(), 0.1: choice()}) == choice()


def test_the_choice_is_reported():
    found = best_share({0.0: choice(0.1, 0.2), 0.1: choice(0.1, 0.3)})
    words = memory_text(memory_facts("mix", "d1", found))
    assert words.startswith("mix with weight 0.3, similarity counting 0.1 (best by share: 0 .2000, 0.1 .3000), by NDCG@10 of 7")
    assert "share" not in memory_facts("mix", "d1", choice(0.1, 0.2))["choice"]
