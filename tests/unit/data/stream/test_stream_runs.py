"""Runs copied whole equal an index of every entry, for every width of values; steps put together equal those of one at a time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltrec.core.ragged import prefix_sums, ragged
from ltrec.data.stream.assemble import _order
from ltrec.data.stream.config import StreamConfig
from ltrec.data.stream.loader import StreamLoader, runs_of
from ltrec.data.stream.order.plan import Plan
from ltrec.data.stream.reading.rows import UserRows
from ltrec.data.stream.reading.runs import Runs, cut, take_rows
from tests.support.streaming import all_same, every_variant, make

rows_of = st.lists(st.integers(0, 9), max_size=12)


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


@given(rows_of, st.data())
def test_rows_are_taken_whole_in_any_order_and_more_than_once(lengths, data):
    offsets = prefix_sums(np.array(lengths, np.int64))
    arrays = columns(int(offsets[-1]))
    wanted = np.array(data.draw(st.lists(st.integers(0, len(lengths) - 1), max_size=20) if lengths else st.just([])), np.int64)
    runs = Runs.of(offsets, arrays)
    taken, kept = runs.take(wanted), runs.lengths(wanted)
    for name, values in arrays.items():
        assert identical(taken[name], naive(values, offsets[wanted], kept)), name
    users = {"user_key": np.arange(len(lengths)) + 5}
    made = take_rows(UserRows(offsets, arrays, users), wanted)
    assert made.offsets.tolist() == prefix_sums(kept).tolist() and made.user_key.tolist() == (wanted + 5).tolist()


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5)), max_size=9))
def test_ascending_runs_are_cut_out(gaps_and_lengths):
    gaps, lengths = (np.array([pair[i] for pair in gaps_and_lengths], np.int64) for i in range(2))
    starts = np.cumsum(gaps + lengths) - lengths
    for name, values in columns(int((gaps + lengths).sum()) + 2).items():
        assert identical(cut(values, starts, starts + lengths), naive(values, starts, lengths)), name


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
