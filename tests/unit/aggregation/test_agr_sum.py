"""Agr-Sum against a loop over coordinates, whole and in shards."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ltrec.aggregation.config import AgrSumConfig
from tests.support.rules import build, ones, random_prior, uniform


def naive(rows_KN, prior_K, counts_K):
    """Coordinate by coordinate, in plain Python."""
    present = [z for z, count in enumerate(counts_K.tolist()) if count]
    mass = sum(prior_K[z].item() for z in present)
    update = []
    for column in rows_KN.T.tolist():
        signs = {(column[z] > 0) - (column[z] < 0) for z in present}
        update.append(sum(prior_K[z].item() / mass * column[z] for z in present) if len(signs) == 1 else 0.0)
    return torch.tensor(update, dtype=rows_KN.dtype)


@settings(max_examples=40)
@given(num_strata=st.integers(1, 5), width=st.integers(1, 12), seed=st.integers(0, 9999), data=st.data())
def test_equals_the_loop_and_shards_equal_the_whole(num_strata, width, seed, data):
    draw = torch.Generator().manual_seed(seed)
    rows_KN = torch.randint(-2, 3, (num_strata, width), generator=draw).double() * 0.3
    counts_K = torch.randint(0, 2, (num_strata,), generator=draw)
    counts_K[seed % num_strata] = 4
    prior_K = random_prior(num_strata, seed)
    rule = build("agr_sum", prior_K)
    whole = rule.combine(rows_KN, counts_K)
    torch.testing.assert_close(whole, naive(rows_KN, prior_K, counts_K), rtol=1e-12, atol=1e-14)
    cut = data.draw(st.integers(0, width))
    shards = [rule.combine(part, counts_K) for part in (rows_KN[:, :cut], rows_KN[:, cut:])]
    assert torch.equal(torch.cat(shards), whole)


def test_with_a_uniform_prior_it_is_the_papers_sum_over_k():
    rows_KN = torch.tensor([[1.0, 1.0, 0.0, -1.0], [2.0, -1.0, 1.0, -3.0]])
    assert build("agr_sum", uniform(2)).combine(rows_KN, ones(2)).tolist() == [1.5, 0.0, 0.0, -2.0]
    assert AgrSumConfig().name == "agr_sum"


def test_an_empty_stratum_has_no_say():
    rows_KN = torch.tensor([[1.0, -2.0], [0.0, 0.0]])
    assert build("agr_sum", uniform(2)).combine(rows_KN, torch.tensor([3, 0])).tolist() == [1.0, -2.0]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_type_of_the_rows_is_kept_and_the_rows_are_left_alone(dtype):
    rows_KN = torch.randn(3, 9).to(dtype)
    before = rows_KN.clone()
    assert build("agr_sum", uniform(3)).combine(rows_KN, ones(3)).dtype == dtype
    assert torch.equal(rows_KN, before)
