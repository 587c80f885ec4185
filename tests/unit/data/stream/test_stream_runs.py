"""Runs copied whole equal an index of every entry, for every width of values; steps put together equal those of one at a time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltrec.core.ragged import ragged
from ltrec.data.stream.assemble import _order
from ltrec.data.stream.config import StreamConfig
from ltrec.data.stream.loader import StreamLoader, runs_of
from ltrec.data.stream.order.plan import Plan
from ltrec.data.stream.runs.runs import Runs
from tests.support.streaming import all_same, every_variant, make


def columns(events):
    """A column of each kind."""
    numbers = np.arange(events)
    return {
        "items": numbers.astype(np.int32),
        "times": numbers * 10**9,
        "target": numbers % 3 == 0,
        "vector": np.stack([numbers, -numbers, numbers / 7], axis=1).astype(np.float32),
    }


def naive(values, starts, lengths):
    return values[ragged(starts, lengths)]


def identical(a, b):
    return a.dtype == b.dtype and a.shape == b.shape and (a == b).all()


@given(st.integers(1, 30), st.data())
def test_runs_anywhere_are_copied_whole_and_those_after_them(entries, data):
    runs = data.draw(st.lists(st.tuples(st.integers(0, entries - 1), st.integers(0, entries - 1)).map(sorted), max_size=12))
    starts, ends = (np.array([run[i] for run in runs], np.int64) for i in range(2))
    for name, values in columns(entries).items():
        made = Runs(starts, ends, entries)
        assert identical(made.of(values), naive(values, starts, ends - starts)), name
        assert identical(made.of(values, 1), naive(values, starts + 1, ends - starts)), name
    assert identical(made.of_each({"vector": values})["vector"], made.of(values))


def test_neighbouring_runs_are_not_copied():
    values, starts = np.arange(20), np.array([3, 7, 7, 11])
    assert np.shares_memory(Runs(starts, np.array([7, 7, 11, 12]), 20).of(values), values)
    assert not np.shares_memory(Runs(starts, np.array([7, 7, 10, 12]), 20).of(values), values)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5)), min_size=1, max_size=30))
def test_rows_are_ordered_by_batch_length_and_slot(pairs):
    batch, shorter = (np.array([pair[i] for pair in pairs], np.int64) for i in range(2))
    slot = np.random.default_rng(len(pairs)).permutation(batch.size)
    expected = np.lexsort((slot, shorter, batch)).tolist()
    assert _order(batch, shorter, slot).tolist() == expected
    assert _order(batch << 40, shorter << 20, slot).tolist() == expected, "too large for a single number"


@every_variant
@pytest.mark.parametrize("lanes", [range(12), range(3, 5)])
def test_draws_of_many_steps_are_those_of_each(tiny, config, lanes):
    plan = Plan.of(tiny[1], 5, config)
    expected, found = {}, {}
    for step in range(4, 19):
        for draw in plan.draws(step, lanes):
            for slot, row in zip(draw.slots.tolist(), draw.rows.tolist(), strict=True):
                assert expected.setdefault((step, slot), (draw.buffer, row, draw.epoch)) == (draw.buffer, row, draw.epoch)
        assert {*plan.buffers(step, lanes)} == {draw.buffer for draw in plan.draws(step, lanes)}
    for draw in plan.draws_of(range(4, 19), lanes):
        if (shuffled := plan.shuffled(draw.buffer)) is not None:
            assert shuffled[draw.first : draw.first + draw.rows.size].tolist() == draw.rows.tolist()
        for step, slot, row in zip(draw.steps.tolist(), draw.slots.tolist(), draw.rows.tolist(), strict=True):
            assert found.setdefault((4 + step, slot), (draw.buffer, row, draw.epoch)) == (draw.buffer, row, draw.epoch)
    assert found == expected and len(found) == 15 * 2 * len(lanes)


@every_variant
@pytest.mark.parametrize("accumulate", [1, 2])
def test_steps_put_together_equal_steps_one_at_a_time(tiny, config, accumulate, monkeypatch):
    loader = make(tiny, config, accumulate=accumulate)
    monkeypatch.setattr(StreamLoader, "_longest_run", lambda _: 4)
    together = list(loader)
    monkeypatch.setattr(StreamLoader, "_longest_run", lambda _: 1)
    digests = dict(loader._step_digests)
    assert all_same(together, list(make(tiny, config, accumulate=accumulate)))
    list(alone := make(tiny, config, accumulate=accumulate))
    assert digests == alone._step_digests and len(digests) > 4


def test_runs_begin_with_one_step_and_grow():
    assert [len(steps) for steps in runs_of(range(3, 40), 8)] == [1, 2, 4, 8, 8, 8, 6]
    assert [step for steps in runs_of(range(3, 40), 8) for step in steps] == [*range(3, 40)]
    assert [len(steps) for steps in runs_of(range(3), 1)] == [1, 1, 1] and not [*runs_of(range(0), 4)]


def test_runs_hold_several_steps_but_not_many_megabytes(tiny):
    def longest(batch_rows, max_len):
        return make(tiny, StreamConfig(batch_rows=batch_rows, lanes=4, max_len=max_len))._longest_run()

    assert longest(512, 50) == 16
    assert longest(512, 2000) == 1
    assert longest(1 << 14, 50) == 1
