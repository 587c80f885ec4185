"""The blend of network and memory against the definition, item by item in float64, and what must hold whatever the numbers."""

from __future__ import annotations

import itertools
import math
from dataclasses import fields

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ltrec.models.memory import EPSILON, Remembered, blend, nonzero, remember
from ltrec.models.memory_forms import FORMS

WEIGHTS = {"mix": (0.0, 0.3, 0.95), "log": (0.0, 0.7, 4.0)}


def case(seed: int, rows: int = 6, items: int = 25, spread: float = 3.0, known: float = 0.3):
    """Scores, memory and seen pairs of a few users; one has seen nothing, one is remembered by seen items alone, one by none."""
    draw = torch.Generator().manual_seed(seed)
    scores_BV = spread * torch.randn(rows, items + 1, generator=draw)
    scores_BV[:, 0] = -torch.inf
    memory_BV = torch.rand(rows, items + 1, generator=draw) * (torch.rand(rows, items + 1, generator=draw) < known)
    memory_BV[:, 0] = 0
    seen_R = [torch.randint(1, items + 1, (n,), generator=draw) for n in [0, *[5] * (rows - 1)]]
    memory_BV[1] = 0
    memory_BV[1, seen_R[1]] = 1.0
    memory_BV[2] = 0
    row_S = torch.repeat_interleave(torch.arange(rows), torch.tensor([len(s) for s in seen_R]))
    return scores_BV, memory_BV, (row_S, torch.cat(seen_R))


def naive(form: str, scores, memory, candidates, w: float) -> dict[int, float]:
    """log((1 - w) p + w q), or log p + w log(q + e), of every item of one row; the network's own score where nothing speaks."""
    total = sum(memory[i] for i in candidates)
    if not total:
        return {i: scores[i] for i in range(1, len(scores))}
    top = max(scores[i] for i in candidates)
    log_z = top + math.log(sum(math.exp(scores[i] - top) for i in candidates))
    found = {}
    for i in range(1, len(scores)):
        log_p, q = scores[i] - log_z, memory[i] / total
        if form == "log":
            found[i] = log_p + w * math.log(q + EPSILON)
        else:
            parts = [math.log(1 - w) + log_p] + ([math.log(w) + math.log(q)] if w * q > 0 else [])
            found[i] = max(parts) + math.log(sum(math.exp(part - max(parts)) for part in parts))
    return found


def blended(scores_BV, memory_BV, form, seen, w):
    mine = scores_BV.clone()
    weight_B = torch.full((len(mine),), w, dtype=torch.float64)
    return blend(mine, remember(mine, memory_BV.clone(), form, seen), weight_B)


def naive_order(form: str, scores, memory, candidates, w: float) -> np.ndarray:
    """Ranks by the definition; where float64 cannot show the network's part beside the memory's, by the network's score too."""
    told = naive(form, scores, memory, candidates, w)
    keys = [(told[i], scores[i]) for i in range(1, len(scores))]
    return np.array([sum(other >= key for other in keys) for key in keys])


def ranks(row) -> np.ndarray:
    """1 + how many other items have at least the item's score."""
    values = row[1:].numpy()
    return (values[None, :] >= values[:, None]).sum(axis=1)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("filtered", [True, False])
@pytest.mark.parametrize("spread", [0.01, 3.0, 60.0])
def test_every_item_is_ranked_as_by_the_definition(form, filtered, spread):
    for seed in range(10):
        scores_BV, memory_BV, seen = case(seed, spread=spread)
        for w in WEIGHTS[form]:
            found = blended(scores_BV, memory_BV, form, seen if filtered else None, w)
            for b in range(len(scores_BV)):
                hidden = {int(i) for r, i in zip(*seen, strict=True) if r == b} if filtered else set()
                candidates = [i for i in range(1, 26) if i not in hidden]
                told = naive(form, scores_BV[b].tolist(), memory_BV[b].tolist(), candidates, w)
                assert np.array_equal(
                    ranks(found[b]), naive_order(form, scores_BV[b].tolist(), memory_BV[b].tolist(), candidates, w)
                )
                offset = found[b][1:] - torch.tensor([told[i] for i in range(1, 26)])
                assert offset.max() - offset.min() < 1e-4 * max(1.0, spread)


@settings(max_examples=60)
@given(st.integers(0, 2**31), st.sampled_from(FORMS), st.sampled_from([0, 1, 2]), st.sampled_from([0.1, 5.0, 80.0]))
def test_only_neighbours_move_and_only_up(seed, form, at, spread):
    scores_BV, memory_BV, seen = case(seed, spread=spread)
    found = blended(scores_BV, memory_BV, form, seen, WEIGHTS[form][at])
    assert torch.equal(found[memory_BV == 0], scores_BV[memory_BV == 0])
    assert (found >= scores_BV).all()
    silent = [1, 2]  # remembered by seen items alone, and by none
    assert torch.equal(found[silent], scores_BV[silent])
    if at == 0:
        assert torch.equal(found, scores_BV)


@settings(max_examples=60)
@given(st.integers(0, 2**31), st.sampled_from(FORMS))
def test_users_do_not_depend_on_one_another(seed, form):
    scores_BV, memory_BV, (row_S, item_S) = case(seed)
    whole = blended(scores_BV, memory_BV, form, (row_S, item_S), WEIGHTS[form][1])
    order = torch.randperm(len(scores_BV), generator=torch.Generator().manual_seed(seed))
    shuffled = blended(scores_BV[order], memory_BV[order], form, (order.argsort()[row_S], item_S), WEIGHTS[form][1])
    assert torch.equal(shuffled, whole[order])
    for b in range(len(scores_BV)):
        alone = (torch.zeros_like(row_S[row_S == b]), item_S[row_S == b])
        assert torch.equal(blended(scores_BV[b : b + 1], memory_BV[b : b + 1], form, alone, WEIGHTS[form][1])[0], whole[b])


@settings(max_examples=60)
@given(st.integers(0, 2**31), st.sampled_from(FORMS), st.floats(1.01, 50))
def test_more_memory_of_an_item_never_ranks_it_lower(seed, form, factor):
    scores_BV, memory_BV, _ = case(seed, known=0.5)
    row, item = memory_BV.nonzero()[0].tolist()
    more_BV = memory_BV.clone()
    more_BV[row, item] *= factor
    before, after = (blended(scores_BV, m, form, None, WEIGHTS[form][1])[row] for m in (memory_BV, more_BV))
    assert ranks(after)[item - 1] <= ranks(before)[item - 1]


@pytest.mark.parametrize("form", FORMS)
def test_a_network_that_is_sure_of_one_item_of_a_million_ties_no_others(form):
    """In float32 the others' probabilities are all 0, and ties count against every target."""
    scores_BV = torch.linspace(-40, 40, 1_000_001)[None].clone()
    scores_BV[0, 0] = -torch.inf
    scores_BV[0, -1] = 500.0
    assert scores_BV.softmax(dim=1)[0, :-1].max() == 0
    memory_BV = torch.zeros_like(scores_BV)
    memory_BV[0, 7:9] = torch.tensor([1.0, 2.0])
    found = blended(scores_BV, memory_BV, form, None, WEIGHTS[form][1])[0]
    assert torch.equal(found[9:], scores_BV[0, 9:]) and found[8] > found[7] > scores_BV[0, 7]
    assert (found >= found[500_000]).sum() == (scores_BV[0] >= scores_BV[0, 500_000]).sum() + (2 if form == "mix" else 0)


@pytest.mark.parametrize("form", FORMS)
def test_a_row_without_any_candidate_and_a_score_of_minus_infinity_stay_numbers(form):
    scores_BV = torch.tensor([[-torch.inf, 1.0, 2.0], [-torch.inf, -torch.inf, 0.0]])
    memory_BV = torch.tensor([[0.0, 1.0, 1.0], [0.0, 3.0, 0.0]])
    seen = (torch.tensor([0, 0, 0]), torch.tensor([1, 2, 1]))
    for w in WEIGHTS[form]:
        found = blended(scores_BV, memory_BV, form, seen, w)
        assert torch.equal(found[0], scores_BV[0])
        assert not found.isnan().any()


def test_equally_remembered_items_keep_the_networks_order_where_float32_cannot_show_it():
    scores_BV = torch.tensor([[-torch.inf, 300.0, -9.0, -11.0, -10.0, -11.0, -12.0, 3.0]])
    memory_BV = torch.tensor([[0.0, 0.0, 1.0, 1.0, 1.0, 1.0, 2.0, 0.5]])
    found = blended(scores_BV, memory_BV, "mix", None, 0.5)[0]
    assert ranks(found).tolist() == [1, 3, 6, 4, 6, 2, 7], "ties that the network itself has stay ties"
    assert (found[2:6] - found[2:6].min()).max() < 1e-4


def test_what_was_given_is_as_it_was():
    scores_BV, memory_BV, seen = case(3)
    scores, memory = scores_BV.clone(), memory_BV.clone()
    remember(scores, memory, "mix", seen)
    assert torch.equal(scores, scores_BV) and torch.equal(memory, memory_BV)


@settings(max_examples=40)
@given(st.integers(0, 2**31), st.sampled_from([0.0, 0.1, 1.0]))
def test_neighbours_are_found_as_torch_finds_them(seed, known):
    memory_BV = case(seed, known=known)[1]
    row_P, place_P, lengths_B = nonzero(memory_BV)
    rows, items = memory_BV.nonzero(as_tuple=True)
    assert torch.equal(row_P, rows) and torch.equal(place_P, rows * memory_BV.shape[1] + items)
    assert torch.equal(lengths_B, (memory_BV != 0).sum(dim=1))


@settings(max_examples=40)
@given(st.integers(0, 2**31), st.integers(1, 5))
def test_the_equally_remembered_are_the_pairs_that_have_a_twin(seed, values):
    scores_BV, memory_BV, seen = case(seed)
    memory_BV = (memory_BV * values).ceil()
    scores_BV[:, 1:] = scores_BV[:, 1:].round()
    r = remember(scores_BV, memory_BV, "mix", seen)
    pairs = list(zip(r.row_P.tolist(), memory_BV.view(-1)[r.place_P].tolist(), r.score_P.tolist(), strict=True))
    twins = [p for p, (row, m, _) in enumerate(pairs) if sum(other[:2] == (row, m) for other in pairs) > 1]
    assert sorted(r.equal_Q.tolist()) == twins
    assert [pairs[p] for p in r.equal_Q.tolist()] == sorted(pairs[p] for p in twins)
    told = [pairs[p][:2] for p in r.equal_Q.tolist()]
    assert (r.group_Q.diff() != 0).tolist() == [a != b for a, b in itertools.pairwise(told)]


@pytest.mark.parametrize("form", FORMS)
def test_blocks_of_rows_that_are_joined_are_the_whole(form):
    scores_BV, memory_BV, (row_S, item_S) = case(5)
    memory_BV = memory_BV.mul(3).ceil()
    starts = [0, 2, 4]
    parts = []
    for start in starts:
        mine = (row_S >= start) & (row_S < start + 2)
        block = slice(start, start + 2)
        parts.append(remember(scores_BV[block], memory_BV[block], form, (row_S[mine] - start, item_S[mine])))
    whole = remember(scores_BV, memory_BV, form, (row_S, item_S))
    joined = Remembered.joined(parts, starts, scores_BV.shape[1])
    for field in fields(Remembered)[1:]:
        assert torch.equal(getattr(joined, field.name), getattr(whole, field.name)), field.name
