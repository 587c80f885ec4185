from fractions import Fraction
from math import log2

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ltrec.evaluation.metrics import nearest_cutoff, per_user


def test_by_hand():
    values = per_user(np.array([1, 2, 3, 6, 11]), np.array([11, 11, 11, 11, 11]), (5, 10))
    assert values["hr@5"].tolist() == [1, 1, 1, 0, 0]
    assert values["hr@10"].tolist() == [1, 1, 1, 1, 0]
    assert values["ndcg@5"].tolist() == [1, 1 / log2(3), 1 / 2, 0, 0]
    assert values["ndcg@10"].tolist() == [1, 1 / log2(3), 1 / 2, 1 / log2(7), 0]
    assert values["mrr@5"].tolist() == [1, 1 / 2, 1 / 3, 0, 0]
    assert values["mrr"].tolist() == [1, 1 / 2, 1 / 3, 1 / 6, 1 / 11]
    assert values["auc"].tolist() == [1, 9 / 10, 8 / 10, 5 / 10, 0]


def test_recall_is_the_hit_rate_with_one_target():
    values = per_user(np.array([1, 7, 30]), np.array([50, 50, 50]), (5, 20))
    for k in (5, 20):
        assert np.array_equal(values[f"recall@{k}"], values[f"hr@{k}"])


def test_auc_without_other_candidates_is_one_half():
    assert per_user(np.array([1]), np.array([1]), ())["auc"].tolist() == [0.5]


@settings(max_examples=40)
@given(rivals=st.lists(st.integers(0, 5), min_size=1, max_size=20), mine=st.integers(0, 5))
def test_auc_is_the_share_of_pairs_won(rivals, mine):
    rank = 1 + sum(r >= mine for r in rivals)
    won = Fraction(sum(r < mine for r in rivals), len(rivals))
    assert per_user(np.array([rank]), np.array([len(rivals) + 1]), ())["auc"][0] == pytest.approx(float(won))


@settings(max_examples=40)
@given(rank=st.integers(1, 60), k=st.integers(1, 50))
def test_a_better_rank_is_never_worse_and_ndcg_lies_between_mrr_and_hr(rank, k):
    values = per_user(np.array([rank, rank + 1]), np.array([100, 100]), (k,))
    assert all(v[0] >= v[1] for v in values.values())
    assert values[f"mrr@{k}"][0] <= values[f"ndcg@{k}"][0] <= values[f"hr@{k}"][0]


def test_headline_cutoff():
    assert nearest_cutoff((5, 10, 20)) == 10
    assert nearest_cutoff((5, 15)) == 5
    assert nearest_cutoff((1, 20)) == 1
