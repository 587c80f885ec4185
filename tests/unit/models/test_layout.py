"""Packed <-> padded: every position has a slot of its own, groups are rectangles with little waste, gradients are copies."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ltrec.core.rows.on_host import HostRows
from ltrec.models.layout import attention_layout, length_groups

LENGTHS = st.lists(st.integers(0, 12), min_size=1, max_size=30)


def offsets_of(lengths):
    return torch.tensor([0, *lengths]).cumsum(0)


@settings(max_examples=50)
@given(LENGTHS)
def test_every_position_keeps_its_row_and_its_place(lengths):
    offsets = offsets_of(lengths)
    total = int(offsets[-1])
    layout = attention_layout(offsets, total, max_len=12)
    values = torch.arange(1.0, total + 1)[:, None]
    groups = layout.pad(values)
    found = []
    for (rows, length), group in zip(layout.groups, groups, strict=True):
        assert group.shape == (rows, length, 1)
        for row in group[:, :, 0].tolist():
            real = [v for v in row if v]
            assert row[: len(real)] == real  # filled from the left
            found.append(real)
    expected = [list(range(a + 1, b + 1)) for a, b in zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True) if b > a]
    assert sorted(found) == sorted(expected)
    if total:
        assert torch.equal(layout.unpad(groups), values)


@settings(max_examples=50)
@given(LENGTHS, st.integers(0, 40))
def test_groups_cover_all_rows_within_the_waste_allowed(lengths, waste):
    counts = torch.bincount(torch.tensor(lengths)).tolist()
    groups = length_groups(counts, waste)
    assert sum(rows for rows, _ in groups) == sum(length > 0 for length in lengths)
    tops = [length for _, length in groups]
    assert tops == sorted(set(tops), reverse=True)
    for (rows, top), below in zip(groups, [*tops[1:], 0], strict=bool(groups)):
        inside = [length for length in lengths if below < length <= top]
        assert len(inside) == rows
        assert sum(top - length for length in inside) <= waste


@settings(max_examples=50)
@given(st.lists(LENGTHS, min_size=1, max_size=4))
def test_parts_are_grouped_as_each_would_be_alone(parts):
    lengths = [length for part in parts for length in part]
    layout = attention_layout(offsets_of(lengths), sum(lengths), 12, None, [len(part) for part in parts])
    start, groups, numbers, cells = 0, [], [], []
    for number, part in enumerate(parts):
        alone = attention_layout(offsets_of(part), sum(part), 12)
        groups += alone.groups
        numbers += [number] * len(alone.groups)
        cells.append(alone.cell_T + start)
        start += alone.num_cells
    assert (layout.groups, layout.parts) == (tuple(groups), tuple(numbers))
    assert torch.equal(layout.cell_T, torch.cat(cells))


def test_a_group_of_equal_lengths_has_no_padding():
    layout = attention_layout(offsets_of([3, 3, 3]), 9, max_len=50)
    assert layout.groups == ((3, 3),)
    assert layout.num_cells == 9


def test_unpad_passes_gradients_through_unchanged():
    offsets = offsets_of([2, 0, 5, 1])
    values = torch.randn(8, 3, dtype=torch.float64, requires_grad=True)
    layout = attention_layout(offsets, 8, max_len=5)
    assert torch.autograd.gradcheck(lambda v: layout.unpad([g**2 for g in layout.pad(v)]), (values,))


def test_an_accelerator_gets_few_groups_where_the_host_knows_the_lengths():
    """Half of the rows are short: one group of the longest would be half padding, a group for every length a launch for each."""
    lengths = [*range(50, 10, -1), *[5] * 40]
    offsets, lengths_B = offsets_of(lengths), torch.tensor(lengths)
    host, there = HostRows(lengths_B, torch.zeros_like(lengths_B)), offsets.to("meta")
    known = attention_layout(there, sum(lengths), 50, host)
    assert len(known.groups) <= 5
    assert sum(lengths) <= known.num_cells < 1.5 * sum(lengths)
    assert known.cell_T.device.type == "meta"
    assert attention_layout(there, sum(lengths), 50).groups == ((80, 50),)
    assert len(attention_layout(offsets, sum(lengths), 50, host).groups) > len(known.groups)
