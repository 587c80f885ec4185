"""Losses from scores of candidates: the same draws and the same numbers as from states."""

import pytest
import torch
from torch.testing import assert_close

from ltrec.objectives import OBJECTIVES, CandidateObjective, Draw
from tests.unit.objectives.test_sampled_losses import N, V, build, problem

CASES = {
    "sampled_softmax": {"negatives": 9},
    "sampled_softmax, shared": {"negatives": 9, "scope": "shared"},
    "sampled_softmax, popularity": {"negatives": 9, "proposal": "popularity"},
    "sampled_softmax, plain": {"negatives": 9, "logq": False},
    "gbce": {"negatives": 5},
    "bce": {"negatives": 3},
}


def scorer(states, table, asked=None):
    """Inner products, as a backbone without states would compute them."""

    def score(items_NM):
        if asked is not None:
            asked.append(items_NM)
        return torch.stack([table[items] @ state for items, state in zip(items_NM, states, strict=True)])

    return score


@pytest.mark.parametrize("case", CASES)
def test_both_forms_agree(case):
    states, targets, table, count, draw = problem()
    objective, asked = build(case.split(",")[0], count, **CASES[case]), []
    from_states = objective(states, targets, table, draw)
    from_scores = objective.of_candidates(scorer(states, table, asked), targets, draw)
    assert_close(from_scores, from_states, rtol=0, atol=1e-12)
    for a, b in zip(*(torch.autograd.grad(loss.sum(), (states, table)) for loss in (from_scores, from_states)), strict=True):
        assert_close(a, b, rtol=0, atol=1e-12)
    assert [items.shape for items in asked] == [(N, 1 + CASES[case]["negatives"])], "asked once, target and negatives together"
    assert torch.equal(asked[0][:, 0], targets) and asked[0].min() >= 1 and asked[0].max() <= V
    assert (asked[0][:, 1:] == targets[:, None]).any(), "hits occur, and are left out"


@pytest.mark.parametrize("name", list(OBJECTIVES))
def test_the_rows_are_what_the_classes_say(name):
    objective = build(name, torch.ones(V + 1, dtype=torch.int64))
    assert isinstance(objective, CandidateObjective) == (not OBJECTIVES[name].needs_states)
    assert objective.coupled == OBJECTIVES[name].couples_rows
    assert not (isinstance(objective, CandidateObjective) and objective.coupled)


@pytest.mark.parametrize("name", OBJECTIVES.where("needs_states", False))
def test_low_precision_scores_give_float32_losses(name):
    states, targets, table, count, draw = problem(torch.float32)
    objective, scores_NV = build(name, count), (states @ table.T).bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        low = objective.of_candidates(lambda items: scores_NV.gather(1, items), targets, draw)
    assert low.dtype == torch.float32
    assert torch.equal(low, objective.of_candidates(lambda items: scores_NV.float().gather(1, items), targets, draw))


@pytest.mark.parametrize("name", OBJECTIVES.where("needs_states", False))
def test_no_example_is_no_error(name):
    _, targets, _, count, _ = problem()
    objective = build(name, count)
    nothing = objective.of_candidates(lambda items: items.double(), targets[:0], Draw(0, 0, targets[:0]))
    assert nothing.shape == (0,)
