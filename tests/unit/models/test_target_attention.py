"""The parts of target attention: masks, rectangles, and one product for the queries of all candidates."""

import math

import pytest
import torch
from torch.testing import assert_close

from ltrec.models.target_attention import attend, causal, rectangle
from tests.support.sequences import histories


def test_the_queries_of_a_position_see_itself_and_what_came_before():
    mask = causal(3, 2, torch.device("cpu"))
    assert mask.shape == (1, 6, 3)
    assert mask[0].int().tolist() == [[1, 0, 0], [1, 0, 0], [1, 1, 0], [1, 1, 0], [1, 1, 1], [1, 1, 1]]


def test_a_rectangle_is_filled_from_the_left_and_zero_elsewhere():
    batch = histories([2, 0, 3, 1], 9)
    values = torch.arange(1.0, 7.0)[:, None]
    filled, visible = rectangle(batch, torch.tensor([3, 2, 1]), values)
    assert filled[..., 0].tolist() == [[6, 0, 0], [3, 4, 5], [0, 0, 0]]
    assert visible[:, 0].tolist() == [[True, False, False], [True, True, True], [True, False, False]]


def test_rows_without_any_history_make_a_rectangle_of_zeros():
    filled, visible = rectangle(histories([0, 0], 9), torch.tensor([0, 1]), torch.ones(0, 4))
    assert filled.shape == (2, 1, 4) and not filled.any() and visible.all()


@pytest.mark.parametrize("own_queries", [True, False])
def test_attention_equals_its_loop(own_queries):
    g = torch.Generator().manual_seed(0)
    query = torch.randn(2 if own_queries else 1, 3, 4, generator=g, dtype=torch.float64)
    key_value = torch.randn(2, 5, 8, generator=g, dtype=torch.float64)
    visible = torch.rand(2, 3, 5, generator=g) < 0.5
    visible[..., 0] = True
    mixed = attend(query, key_value, visible)
    for row in range(2):
        for q in range(3):
            seen = [slot for slot in range(5) if visible[row, q, slot]]
            asks = query[row if own_queries else 0, q]
            weights = [math.exp(float(asks @ key_value[row, slot, :4]) / 2) for slot in seen]
            expected = sum(w * key_value[row, slot, 4:] for w, slot in zip(weights, seen, strict=True)) / sum(weights)
            assert_close(mixed[row, q], expected, rtol=0, atol=1e-12)
