"""A network with a memory, as ranking asks for it: the blend of what is recalled of every whole history, chunk by chunk."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ltrec.evaluation.memory import scores as make_memory
from ltrec.evaluation.ranking import rank_chunk
from ltrec.models.memory import EPSILON
from tests.support.evaluation import history_chunk, random_histories
from tests.support.memory import FORMS, TABLE, V, memory, neighbours, network
from tests.support.naive_neighbours import as_matrix, recalled


def naive_rank(seen: list[int], target: int, form: str, w: float, *, filter_seen: bool) -> int:
    """By the definition of the mixture or product over the candidates."""
    M_VV = as_matrix(neighbours().item_VN.numpy(), neighbours().weight_VN.numpy())
    [m], s = recalled([seen], M_VV, 0.85, 50), TABLE[seen[-1]].double().numpy()
    candidates = [i for i in range(1, V + 1) if not (filter_seen and i in seen)]
    p, q = np.exp(s) / np.exp(s[candidates]).sum(), m / max(m[candidates].sum(), 1e-300)
    score = (1 - w) * p + w * q if form == "mix" else np.log(p) + w * np.log(q + EPSILON)
    if not m[candidates].sum():
        score = s
    return 1 + sum(score[i] >= score[target] for i in candidates if i != target)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("filter_seen", [True, False])
@pytest.mark.parametrize("w", [0.0, 0.6])
def test_ranks_are_those_of_the_definition(form, filter_seen, w):
    histories = random_histories(60, V, chunk_rows=16)
    score = memory(form, filter_seen=filter_seen).beside(network, [w])
    repeats = 0
    for chunk in histories.warm:
        with torch.inference_mode():
            found = rank_chunk(score(chunk), chunk, filter_seen=filter_seen)
        seen = [chunk.seen_T[a:b].tolist() for a, b in itertools.pairwise(chunk.seen_offsets)]
        expected = [naive_rank(s, t, form, w, filter_seen=filter_seen) for s, t in zip(seen, chunk.target_B.tolist(), strict=True)]
        assert found.rank.tolist() == expected
        repeats += found.repeat.sum()
    assert repeats, "a target that was seen is ranked as well"


@settings(max_examples=40)
@given(st.lists(st.integers(1, 20), min_size=1, max_size=6), st.sampled_from(FORMS))
def test_a_user_is_scored_alike_in_any_chunk(sizes, form):
    users = random_histories(sum(sizes), V, chunk_rows=1).warm
    score = memory(form).beside(network, [0.7])
    alone = torch.cat([score(chunk) for chunk in users])
    seen = [chunk.seen_T.tolist() for chunk in users]
    starts = np.cumsum([0, *sizes])
    chunks = [history_chunk(seen[a:b], [1] * (b - a)) for a, b in itertools.pairwise(starts)]
    assert torch.equal(torch.cat([score(chunk) for chunk in chunks]), alone)


def test_each_stratum_of_histories_has_its_weight():
    chunk = history_chunk([[1, 2], [3, 4], [1, 2]], [5, 5, 5])
    chunk.batch.stratum_B[:] = torch.tensor([1, 0, 0])
    routed = memory().beside(network, [0.2, 0.9])(chunk)
    by_weight = {w: memory().beside(network, [w])(chunk) for w in (0.2, 0.9)}
    assert torch.equal(routed, torch.stack([by_weight[0.9][0], by_weight[0.2][1], by_weight[0.2][2]]))
    assert not torch.equal(routed[0], routed[2])


def test_scores_of_half_precision_are_blended_in_single():
    chunk = history_chunk([[1, 2]], [5])
    found = memory().beside(lambda c: network(c).to(torch.bfloat16), [0.5])(chunk)
    assert found.dtype == torch.float32
    assert torch.equal(found, memory().beside(lambda c: network(c).to(torch.bfloat16).float(), [0.5])(chunk))


def test_the_whole_history_or_its_last_items_are_looked_up():
    long = [*range(1, 21)]
    chunk = history_chunk([long], [25])
    cropped = history_chunk([long[-3:]], [25])
    assert torch.equal(
        memory(filter_seen=False, last=3).beside(network, [0.5])(chunk), memory(filter_seen=False).beside(network, [0.5])(cropped)
    )
    assert not torch.equal(
        memory(filter_seen=False, last=4).beside(network, [0.5])(chunk),
        memory(filter_seen=False, last=3).beside(network, [0.5])(chunk),
    )


def test_blocks_of_rows_are_one_chunk(monkeypatch):
    chunk = random_histories(23, V, chunk_rows=23).warm[0]
    for form in FORMS:
        whole = memory(form).beside(network, [0.6])(chunk)
        with monkeypatch.context() as patch:
            patch.setattr(make_memory, "_BLOCK", 5 * (V + 1))
            assert torch.equal(memory(form).beside(network, [0.6])(chunk), whole)


def test_weight_zero_is_the_network_to_the_bit():
    chunk = random_histories(40, V, chunk_rows=40).warm[0]
    for form in FORMS:
        assert torch.equal(memory(form).beside(network, [0.0])(chunk)[:, 1:], network(chunk)[:, 1:])
