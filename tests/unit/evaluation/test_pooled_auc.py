"""AUC over the pool of all users' scores: against counting pairs, and against the ranks of the same candidates."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ltrec.core.errors import UserError
from ltrec.evaluation.metrics import auc
from ltrec.evaluation.ranking import Negatives, rank_chunk
from ltrec.evaluation.sampled.pooled_auc import pooled_auc, sampled_scores, score_pools
from tests.support.evaluation import history_chunk, random_histories

SCORES = st.lists(st.one_of(st.floats(-5, 5), st.sampled_from([0.0, 1.0, math.inf, -math.inf])), min_size=1, max_size=25)


@settings(max_examples=200)
@given(SCORES, SCORES)
def test_it_is_the_share_of_pairs_with_half_for_a_tie(targets, rivals):
    pairs = [1.0 if t > r else 0.5 if t == r else 0.0 for t in targets for r in rivals]
    assert pooled_auc(np.array(targets), np.array(rivals)) == pytest.approx(sum(pairs) / len(pairs))


@settings(max_examples=50)
@given(SCORES, SCORES)
def test_the_other_way_round_it_is_what_is_left(targets, rivals):
    assert pooled_auc(np.array(targets), np.array(rivals)) == pytest.approx(1 - pooled_auc(np.array(rivals), np.array(targets)))


@pytest.mark.parametrize("filter_seen", [True, False])
def test_candidates_are_those_of_the_ranks(filter_seen):
    """Each user's own AUC, from the scores, is the evaluation table's, from the ranks."""
    histories, negatives = random_histories(60, 80, chunk_rows=25), Negatives(count=20, seed=4)
    chunks = [histories.chunk(i) for i in range(len(histories))]
    draw = torch.Generator().manual_seed(1)
    scores = {chunk.index: torch.randn(len(chunk.target_B), 81, generator=draw) for chunk in chunks}
    pools = score_pools(lambda chunk: scores[chunk.index], chunks, negatives, filter_seen=filter_seen)
    results = [rank_chunk(scores[c.index].clone(), c, filter_seen=filter_seen, negatives=negatives) for c in chunks]
    rank, candidates = (np.concatenate([getattr(r, name) for r in results]) for name in ("rank", "candidates"))
    one = [pools.auc(np.arange(len(rank)) == user) for user in range(len(rank))]
    assert one == pytest.approx(auc(rank, candidates).tolist())
    everyone = np.ones(len(rank), dtype=bool)
    naive = [float(t > r) for t in pools.target_N for r in pools.rival_NC[pools.real_NC]]
    assert pools.auc(everyone) == pytest.approx(np.mean(naive))
    assert math.isnan(pools.auc(~everyone))


def test_a_user_with_few_items_left_has_fewer_candidates():
    chunk = history_chunk([[1, 2, 3, 4], [1]], [5, 2])
    pools = sampled_scores(torch.arange(14.0).view(2, 7), chunk, Negatives(count=3, seed=0), filter_seen=True)
    assert pools.target_N.tolist() == [5.0, 9.0]
    assert pools.real_NC.sum(axis=1).tolist() == [1, 3]
    assert pools.rival_NC[0][pools.real_NC[0]].tolist() == [6.0], "only item 6 is left"
    assert 8.0 not in pools.rival_NC[1], "item 1 is in the history"


@pytest.mark.parametrize("where", ["target", "rival"])
def test_a_diverged_checkpoint_is_refused(where):
    pool, bad = np.array([0.0, 1.0]), np.array([0.0, math.nan])
    with pytest.raises(UserError, match="NaN: the checkpoint has diverged"):
        pooled_auc(*((bad, pool) if where == "target" else (pool, bad)))
