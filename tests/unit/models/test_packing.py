"""Rows by time: every position has a slot of its own, both layouts are inverses of themselves, nothing is sorted by hand."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ltrec.models.packing import full_layout, tight_layout, time_layout

LENGTHS = st.lists(st.integers(0, 9), min_size=1, max_size=20).filter(any)
LAYOUTS = {"tight": lambda offsets, n: tight_layout(offsets, n), "full": lambda offsets, n: full_layout(offsets, n, 9)}


def numbered(lengths):
    offsets = torch.tensor([0, *lengths]).cumsum(0)
    return offsets, torch.arange(1.0, int(offsets[-1]) + 1)[:, None]


def by_loops(lengths):
    """Rows longest first (stable), then time after time those that are not over."""
    starts = [sum(lengths[:b]) for b in range(len(lengths))]
    ranked = sorted(range(len(lengths)), key=lambda b: -lengths[b])
    times = [[starts[b] + t + 1.0 for b in ranked if lengths[b] > t] for t in range(max(lengths))]
    return [len(alive) for alive in times], [value for alive in times for value in alive]


@settings(max_examples=50)
@given(LENGTHS)
def test_the_tight_layout_is_what_loops_give(lengths):
    offsets, values = numbered(lengths)
    sequence = tight_layout(offsets, len(values)).by_time(values)
    alive, data = by_loops(lengths)
    assert sequence.batch_sizes.tolist() == alive
    assert sequence.data[:, 0].tolist() == data


@settings(max_examples=50)
@given(LENGTHS)
def test_the_full_layout_keeps_rows_in_columns(lengths):
    offsets, values = numbered(lengths)
    sequence = full_layout(offsets, len(values), 9).by_time(values)
    assert sequence.batch_sizes.tolist() == [len(lengths)] * 9
    table = sequence.data.view(9, len(lengths))
    for b, length in enumerate(lengths):
        assert table[:length, b].tolist() == values[offsets[b] : offsets[b + 1], 0].tolist()
        assert not table[length:, b].any()


@settings(max_examples=30)
@given(LENGTHS, st.sampled_from(sorted(LAYOUTS)))
def test_back_and_forth_with_gradients(lengths, kind):
    offsets, values = numbered(lengths)
    values = values.double().requires_grad_()
    layout = LAYOUTS[kind](offsets, len(values))
    back = layout.by_row(layout.by_time(values))
    assert torch.equal(back, values)
    (gradient,) = torch.autograd.grad((back * values.detach()).sum(), values)
    assert torch.equal(gradient, values.detach())


def test_on_the_cpu_the_layout_is_tight():
    offsets, values = numbered([3, 0, 5])
    assert time_layout(offsets, len(values), 9).num_cells == 8
