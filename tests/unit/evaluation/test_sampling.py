import numpy as np
import pytest
import torch

from ltrec.evaluation.ranking import Negatives, rank_chunk
from ltrec.evaluation.sampled.negatives import draw_negatives
from tests.support.evaluation import history_chunk, random_histories


def no_pairs() -> tuple[torch.Tensor, torch.Tensor]:
    return torch.zeros(0, dtype=torch.int64), torch.zeros(0, dtype=torch.int64)


def test_without_replacement_and_without_what_is_excluded():
    keys = torch.arange(100) * 7919
    excluded = (torch.arange(100).repeat(2), torch.cat([torch.arange(100) % 20 + 1, torch.full((100,), 3)]))
    item, real = draw_negatives(keys, 20, 15, 5, excluded)
    for row in range(100):
        drawn = item[row][real[row]].tolist()
        assert len(set(drawn)) == len(drawn) == 15
        assert not {0, 3, row % 20 + 1} & set(drawn)


def test_a_users_negatives_do_not_depend_on_other_users():
    keys = torch.arange(150) * 104_729 + 11
    whole, _ = draw_negatives(keys, 500, 20, 5, no_pairs())
    alone, _ = draw_negatives(keys[97:98], 500, 20, 5, no_pairs())
    assert torch.equal(whole[97], alone[0])
    other_seed, _ = draw_negatives(keys, 500, 20, 6, no_pairs())
    assert not torch.equal(whole, other_seed)


def test_draws_are_uniform():
    item, _ = draw_negatives(torch.arange(4000) * 31 + 1, 40, 10, 0, no_pairs())
    times = torch.bincount(item.flatten(), minlength=41)[1:].double()
    expected = 4000 * 10 / 40
    chi_square = float(((times - expected) ** 2 / (expected * (1 - 10 / 40))).sum())
    assert chi_square < 39 + 5 * np.sqrt(2 * 39)


def test_fewer_items_than_wanted_are_fewer_negatives():
    chunk = history_chunk([[1, 2], [3]], [4, 4])
    result = rank_chunk(torch.zeros(2, 6), chunk, filter_seen=True, negatives=Negatives(10, 0))
    assert result.candidates.tolist() == [3, 4]
    assert result.rank.tolist() == [3, 4]


def test_all_items_drawn_is_full_ranking():
    chunk = random_histories(40, 30, chunk_rows=40).chunk(0)
    scores = torch.randint(0, 9, (40, 31), generator=torch.Generator().manual_seed(0)).float()
    for filter_seen in (False, True):
        full = rank_chunk(scores.clone(), chunk, filter_seen=filter_seen)
        sampled = rank_chunk(scores.clone(), chunk, filter_seen=filter_seen, negatives=Negatives(30, 1))
        assert np.array_equal(full.rank, sampled.rank)
        assert np.array_equal(full.candidates, sampled.candidates)


@pytest.mark.parametrize("count", [1, 5])
def test_the_rank_counts_the_drawn_items_that_are_ahead(count):
    chunk = random_histories(30, 25, chunk_rows=30).chunk(0)
    scores = torch.randn(30, 26, generator=torch.Generator().manual_seed(2))
    result = rank_chunk(scores.clone(), chunk, filter_seen=False, negatives=Negatives(count, 9))
    targets = (torch.arange(30), chunk.target_B)
    item, _ = draw_negatives(chunk.batch.user_key_B, 25, count, 9, targets)
    ahead = (scores.gather(1, item) >= scores[targets][:, None]).sum(1)
    assert result.rank.tolist() == (1 + ahead).tolist()
    assert (result.candidates == count + 1).all()
