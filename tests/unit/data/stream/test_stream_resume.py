"""State: a run resumed at any step, by any number of processes, sees what the undisturbed run sees; foreign states are refused."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace

import pytest
import torch

from ltrec.core.errors import UserError
from ltrec.data.stream.state import add_digests, as_signed, rows_digests
from tests.support.shards import random_users, write_dataset
from tests.support.streaming import BASE, VARIANTS, all_same, epochs, every_variant, make, rows


@pytest.fixture(scope="module")
def larger(tmp_path_factory):
    """Blocks enough for 24 lanes in every stratum."""
    folder = tmp_path_factory.mktemp("larger")
    users = random_users([101, 100, 97])
    return folder, write_dataset(folder, users, block_rows=4), users


@every_variant
def test_resume_at_every_step_equals_undisturbed(tiny, config):
    whole = epochs(make(tiny, config, accumulate=2), 2)
    running, states = make(tiny, config, accumulate=2), []
    for _ in range(2):
        for batch in running:
            if batch.micro == 0:
                states.append(json.loads(json.dumps(running.state_dict())))
            else:
                running.advance(batch.step)
    final = running.state_dict()
    for step, state in enumerate(states):
        assert state["next_step"] == step
        resumed = make(tiny, config, accumulate=2)
        resumed.load_state_dict(state)
        assert len(resumed) == len(whole) // 2
        assert all_same(epochs(resumed, 2 if step < len(states) // 2 else 1), whole[2 * step :])
        assert resumed.state_dict() == final


def test_iterating_after_a_resume_gives_the_rest_of_the_epoch_only(tiny):
    loader = make(tiny, BASE)
    assert [b.step for b in loader] == list(range(5))
    loader.load_state_dict({**loader.state_dict(), "next_step": 7})
    assert [b.step for b in loader] == [7, 8, 9]
    assert len(loader) == 5


@pytest.mark.parametrize("name", ["quota-lanes", "random"])
def test_elastic_chain_has_the_digest_of_the_undisturbed_run(larger, name):
    config = replace(VARIANTS[name], lanes=24, batch_rows=48, quotas=(20, 18, 10) if name == "quota-lanes" else ())
    alone = make(larger, config)
    epochs(alone, 1)
    state, seen = make(larger, config).state_dict(), Counter()
    for size, stop in [(8, 2), (3, 5), (12, 7)]:
        ranks = [make(larger, config, rank, size, threads=1) for rank in range(size)]
        for loader in ranks:
            loader.load_state_dict(state)
        while ranks[0].next_step < stop:
            for loader in ranks:
                for batch in loader:
                    if batch.step == stop:
                        break
                    seen.update((batch.step, row) for row in rows(batch))
                    loader.advance(batch.step)
        total = add_digests(*(loader._own_digest for loader in ranks))
        states = [loader.state_dict(lambda _, total=total: total) for loader in ranks]
        assert all(s == states[0] for s in states)
        state = states[0]
    assert state == alone.state_dict()
    assert seen == Counter((b.step, row) for b in epochs(make(larger, config), 1) for row in rows(b))


def rows_digest(step, key, stratum):
    return rows_digests([step], key[None], stratum[None])[0]


def test_digest_sees_every_change_of_a_row():
    key, stratum = torch.tensor([3, -4, 5]).numpy(), torch.tensor([0, 1, 1]).numpy()
    base = rows_digest(2, key, stratum)
    assert base == rows_digest(2, key[::-1], stratum[::-1])
    assert base == add_digests(rows_digest(2, key[:1], stratum[:1]), rows_digest(2, key[1:], stratum[1:]))
    assert len({base, rows_digest(3, key, stratum), rows_digest(2, key + 1, stratum), rows_digest(2, key, stratum[::-1])}) == 4
    assert rows_digest(2, key, stratum) == 8159059211580621277  # golden
    assert rows_digests([2, 3], key[[[0, 1], [2, 0]]], stratum[[[0, 1], [2, 0]]]) == [
        rows_digest(2, key[:2], stratum[:2]),
        rows_digest(3, key[[2, 0]], stratum[[2, 0]]),
    ]


def test_signed_digests_add_up_in_an_int64_tensor():
    digests = [(1 << 64) - 5, 1 << 63, 12345, (1 << 63) - 1]
    total = torch.tensor([as_signed(d) for d in digests]).sum().item()
    assert total & ((1 << 64) - 1) == add_digests(*digests)


def test_state_moves_only_by_advance_and_is_small(tiny):
    loader = make(tiny, BASE, prefetch=5)
    stream = iter(loader)
    for _ in range(4):
        next(stream)
    assert loader.state_dict()["next_step"] == 0
    loader.advance(0)
    assert loader.state_dict()["next_step"] == 1
    with pytest.raises(AssertionError, match="step 3 was trained on, but 1 is next"):
        loader.advance(3)
    stream.close()
    assert next(iter(loader)).step == 1
    assert len(json.dumps(loader.state_dict())) < 400


def test_a_state_loaded_after_iter_is_honoured(tiny):
    loader = make(tiny, BASE)
    state = {**loader.state_dict(), "next_step": 3}
    stream = iter(loader)
    loader.load_state_dict(state)
    assert next(stream).step == 3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"manifest_digest": "f" * 64}, "checkpoint from another data set"),
        ({"seed": 6}, "checkpoint has seed 6, this run has 5"),
        ({"order_digest": "e" * 64}, "checkpoint has batch order eeeeeeeeeeee, this run has"),
        ({"version": 9}, "state version 9"),
    ],
)
def test_foreign_states_are_refused(tiny, change, message):
    loader = make(tiny, BASE)
    with pytest.raises(UserError, match=message) as caught:
        loader.load_state_dict({**loader.state_dict(), **change})
    assert "\n" not in str(caught.value)
    assert loader.next_step == 0
