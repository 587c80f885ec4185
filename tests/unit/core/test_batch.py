"""SequenceBatch: jagged selection agrees with plain lists."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from ltrec.core.batch import SequenceBatch

rows_of_items = st.lists(st.lists(st.integers(1, 99), max_size=5), min_size=1, max_size=6)


def batch_of(rows):
    lengths = torch.tensor([len(r) for r in rows])
    flat = torch.tensor([i for r in rows for i in r], dtype=torch.int64)
    offsets = torch.cat([torch.zeros(1, dtype=torch.int64), lengths.cumsum(0)])
    keys, slots = torch.arange(len(rows)) * 10, torch.arange(len(rows)).flip(0)
    counts = torch.tensor([1, 2, 3])
    return SequenceBatch(flat, flat + 1, offsets, torch.arange(len(rows)) % 3, keys, counts, step=4, micro=1, slot_B=slots)


def rows_in(batch):
    return [r.tolist() for r in torch.tensor_split(batch.items_T, batch.offsets[1:-1])]


@given(rows_of_items, st.data())
def test_select_equals_list_indexing(rows, data):
    batch = batch_of(rows)
    take = data.draw(st.lists(st.integers(0, len(rows) - 1), min_size=1, max_size=8))
    part = batch.select(torch.tensor(take))
    assert rows_in(part) == [rows[i] for i in take]
    assert part.targets_T.tolist() == [i + 1 for t in take for i in rows[t]]
    assert part.user_key_B.tolist() == [t * 10 for t in take]
    assert part.slot_B.tolist() == [len(rows) - 1 - t for t in take]
    assert (part.step, part.micro) == (4, 1)


@given(rows_of_items, st.data())
def test_split_cuts_consecutive_rows_and_copies_nothing(rows, data):
    batch = batch_of(rows)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(rows)), max_size=4)))
    sizes = [b - a for a, b in zip([0, *cuts], [*cuts, len(rows)], strict=True)]
    parts = batch.split(sizes)
    assert [part.num_rows for part in parts] == sizes
    start = 0
    for part in parts:
        rows_here = torch.arange(start, start + part.num_rows)
        expected = batch.select(rows_here)
        for name in ("items_T", "targets_T", "offsets", "stratum_B", "user_key_B", "step_counts_K", "slot_B"):
            assert torch.equal(getattr(part, name), getattr(expected, name)), name
        assert (part.step, part.micro) == (4, 1)
        assert part.items_T.untyped_storage().data_ptr() == batch.items_T.untyped_storage().data_ptr()
        start += part.num_rows


@given(rows_of_items)
def test_positions(rows):
    batch = batch_of(rows)
    assert batch.row_of_position().tolist() == [b for b, r in enumerate(rows) for _ in r]
    assert batch.index_in_row().tolist() == [i for r in rows for i in range(len(r))]


def test_to_moves_every_tensor_but_the_counts_that_decisions_need():
    moved = batch_of([[1, 2], [3]]).to("meta")
    assert moved.items_T.device.type == moved.user_key_B.device.type == "meta"
    assert moved.step_counts_K.device.type == "cpu"
    assert moved.step == 4
