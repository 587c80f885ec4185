"""Similarity beside counts: a memory of both is that of one table with both added up; its share is the smallest
within a standard error of the best."""

from __future__ import annotations

import math
import statistics
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from ltrec.data.neighbours.table import Neighbours
from ltrec.evaluation.memory.share import choose_share
from ltrec.evaluation.memory.text import memory_facts, memory_text
from ltrec.evaluation.memory.weighing import Ranked, WeightChoice, WeightCurve, choose
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


GRID = (0.0, 0.3)


def of_ranks(rank_GN: npt.NDArray[np.int32]) -> tuple[WeightChoice, list[Ranked]]:
    """What is chosen among both weights of the grid, and by which users; two chunks, the later one first."""
    half, stratum_N = rank_GN.shape[1] // 2, np.zeros(rank_GN.shape[1], np.int64)
    parts = [Ranked(1, rank_GN[:, half:], stratum_N[half:]), Ranked(0, rank_GN[:, :half], stratum_N[:half])]
    return choose(parts, GRID, fallback=0.3), parts


def chosen(**rank_GN: list[list[int]]) -> WeightChoice:
    found = {float(name[1:]) / 10: of_ranks(np.array(ranks, np.int32)) for name, ranks in rank_GN.items()}
    return choose_share({s: choice for s, (choice, _) in found.items()}, {s: parts for s, (_, parts) in found.items()})


FLAT = [[5] * 8, [9] * 8]


def test_a_share_that_is_better_for_every_user_wins_and_the_smallest_of_equals():
    assert chosen(s0=FLAT, s1=[[4] * 8, [9] * 8], s5=[[4] * 8, [9] * 8]).share == 0.1
    assert chosen(s0=FLAT, s1=[[9] * 8, [3] * 8], s5=[[4] * 8, [9] * 8]).share == 0.1
    assert chosen(s0=FLAT, s1=FLAT).share == 0.0
    found = chosen(s0=FLAT, s1=[[6] * 8, [9] * 8])
    assert found.share == 0.0 and [share for share, _ in found.shares] == [0.0, 0.1] and found.shares[0][1] > found.shares[1][1]


def test_a_gain_of_a_few_users_is_within_the_error_and_of_many_is_not():
    """One user of eight gains much: mean d, error d; two of eight: 2 d and 1.3 d."""
    assert chosen(s0=FLAT, s1=[[1] + [5] * 7, [9] * 8]).share == 0.0
    assert chosen(s0=FLAT, s1=[[1, 1] + [5] * 6, [9] * 8]).share == 0.1


@given(st.lists(st.lists(st.integers(1, 12), min_size=7, max_size=7), min_size=3, max_size=3))
def test_the_share_is_that_of_the_formula(ranks):
    """Written out: the smallest share whose paired mean deficit is at most its standard error."""
    gain = [[1 / math.log2(1 + rank) if rank <= 10 else 0.0 for rank in row] for row in ranks]
    means = [math.fsum(row) / 7 for row in gain]
    top = max(range(3), key=lambda s: means[s])
    deficits = [[a - b for a, b in zip(gain[top], row, strict=True)] for row in gain]
    close = [statistics.mean(d) - statistics.stdev(d) / math.sqrt(7) for d in deficits]
    assume(all(abs(value) > 1e-9 or len(set(d)) == 1 for value, d in zip(close, deficits, strict=True)))
    found = chosen(s0=[ranks[0], [12] * 7], s1=[ranks[1], [12] * 7], s2=[ranks[2], [12] * 7])
    assert found.share == next(s for s in range(3) if close[s] <= 1e-12) / 10


def test_a_single_share_and_no_user_choose_nothing():
    alone = chosen(s1=FLAT)
    assert alone.share == 0.1 and alone.shares == ()
    nobody = WeightChoice(GRID, WeightCurve(0, (), 0.3))
    assert choose_share({0.0: nobody, 0.1: nobody}, {0.0: [], 0.1: []}) == nobody


def test_the_choice_is_reported():
    found = chosen(s0=FLAT, s1=[[9] * 8, [3] * 8])
    words = memory_text(memory_facts("mix", "d1", found))
    assert words.startswith("mix with weight 0.3, similarity counting 0.1 (best by share: 0 .3869, 0.1 .5000), by NDCG@10 of 8")
    assert "share" not in memory_facts("mix", "d1", of_ranks(np.array(FLAT, np.int32))[0])["choice"]
