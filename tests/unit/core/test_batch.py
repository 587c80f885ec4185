"""SequenceBatch: jagged selection agrees with plain lists."""

from dataclasses import replace
from itertools import pairwise

import pytest
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


def events_of(has_weight):
    return st.fixed_dictionaries(
        {
            "item": st.integers(1, 99),
            "target": st.integers(0, 99),
            "weight": st.sampled_from([0.0, 0.5, 1.0, 2.0]) if has_weight else st.none(),
            "kind": st.integers(0, 5),
            "text": st.lists(st.integers(0, 9), min_size=2, max_size=2),
        }
    )


def rows_of(has_weight, has_slot):
    return st.fixed_dictionaries(
        {
            "key": st.integers(0, 99),
            "stratum": st.integers(-1, 2),
            "slot": st.integers(0, 9) if has_slot else st.none(),
            "age": st.integers(0, 99),
            "taste": st.lists(st.integers(0, 9), min_size=3, max_size=3),
            "events": st.lists(events_of(has_weight), max_size=4),
        }
    )


@st.composite
def rows_with_columns(draw):
    """Rows as plain records, each with its events' records, and the batch of the same."""
    has_weight, has_slot = draw(st.booleans()), draw(st.booleans())
    rows = draw(st.lists(rows_of(has_weight, has_slot), min_size=1, max_size=5))
    events = [event for row in rows for event in row["events"]]

    def column(of, name, dtype=torch.int64, width=()):
        return torch.tensor([record[name] for record in of], dtype=dtype).reshape(-1, *width)

    lengths = torch.tensor([len(row["events"]) for row in rows])
    return rows, SequenceBatch(
        column(events, "item"),
        column(events, "target"),
        torch.cat([torch.zeros(1, dtype=torch.int64), lengths.cumsum(0)]),
        column(rows, "stratum"),
        column(rows, "key"),
        torch.tensor([1, 2, 3]),
        step=4,
        micro=1,
        slot_B=column(rows, "slot") if has_slot else None,
        events={"kind": column(events, "kind"), "text": column(events, "text", width=(2,))},
        users={"age": column(rows, "age"), "taste": column(rows, "taste", width=(3,))},
        weight_T=column(events, "weight", torch.float32) if has_weight else None,
        step_weights_K=torch.tensor([0.5, 2.0, 3.0], dtype=torch.float64),
        step_squares_K=torch.tensor([0.25, 4.0, 5.0], dtype=torch.float64),
        has_gaps=True,
    )


def records_of(batch):
    """A batch as plain records: what `rows_with_columns` began with."""
    bounds = batch.offsets.tolist()

    def entry(values, n):
        return None if values is None else values[n].tolist()

    def event(n):
        return {
            "item": entry(batch.items_T, n),
            "target": entry(batch.targets_T, n),
            "weight": entry(batch.weight_T, n),
            "kind": entry(batch.events["kind"], n),
            "text": entry(batch.events["text"], n),
        }

    return [
        {
            "key": entry(batch.user_key_B, b),
            "stratum": entry(batch.stratum_B, b),
            "slot": entry(batch.slot_B, b),
            "age": entry(batch.users["age"], b),
            "taste": entry(batch.users["taste"], b),
            "events": [event(n) for n in range(bounds[b], bounds[b + 1])],
        }
        for b in range(batch.num_rows)
    ]


def of_the_step(batch):
    sums = (batch.step_counts_K, batch.step_weights_K, batch.step_squares_K)
    return batch.step, batch.micro, batch.has_gaps, [sum_K.tolist() for sum_K in sums]


@given(rows_with_columns(), st.data())
def test_columns_are_chosen_cut_and_joined_with_their_rows(made, data):
    rows, batch = made
    assert records_of(batch) == rows
    take = data.draw(st.lists(st.integers(0, len(rows) - 1), max_size=7))
    chosen = batch.select(torch.tensor(take, dtype=torch.int64))
    assert records_of(chosen) == [rows[n] for n in take]
    cuts = sorted(data.draw(st.lists(st.integers(0, len(rows)), max_size=3)))
    edges = [0, *cuts, len(rows)]
    parts = batch.split([b - a for a, b in pairwise(edges)])
    assert [records_of(part) for part in parts] == [rows[a:b] for a, b in pairwise(edges)]
    whole = SequenceBatch.concatenate([*parts, chosen])
    assert records_of(whole) == rows + [rows[n] for n in take]
    assert all(of_the_step(each) == of_the_step(batch) for each in (chosen, *parts, whole))


@given(rows_with_columns(), st.data())
def test_last_positions_are_the_ends_of_rows(made, data):
    rows, batch = made
    take = data.draw(st.lists(st.integers(0, len(rows) - 1), max_size=5))
    lengths = [data.draw(st.integers(0, len(rows[n]["events"]))) for n in take]
    ends = batch.last(torch.tensor(take, dtype=torch.int64), torch.tensor(lengths, dtype=torch.int64))
    cropped = [rows[n]["events"][len(rows[n]["events"]) - length :] for n, length in zip(take, lengths, strict=True)]
    assert records_of(ends) == [rows[n] | {"events": events} for n, events in zip(take, cropped, strict=True)]


@given(rows_with_columns())
def test_of_targets_leaves_out_the_gaps_where_there_may_be_some(made):
    rows, batch = made
    items = [event["item"] for row in rows for event in row["events"] if event["target"]]
    assert batch.of_targets(batch.items_T).tolist() == items
    assert replace(batch, has_gaps=False).of_targets(batch.items_T) is batch.items_T


def test_histories_carry_columns():
    nothing = torch.zeros(1, dtype=torch.int64)
    columns = {"events": {"kind": torch.tensor([7, 8])}, "users": {"age": torch.tensor([30])}}
    batch = SequenceBatch.of_histories(torch.tensor([1, 2]), torch.tensor([0, 2]), nothing, nothing, **columns)
    assert batch.events["kind"].tolist() == [7, 8] and batch.users["age"].tolist() == [30]
    assert SequenceBatch.of_histories(torch.tensor([1, 2]), torch.tensor([0, 2]), nothing, nothing).events == {}


@pytest.mark.parametrize("move", [lambda batch: batch.to("meta"), lambda batch: batch.to("meta", non_blocking=True)])
def test_columns_and_weights_move_with_the_rest_and_sums_of_the_step_stay(move):
    columns = {"events": {"kind": torch.tensor([1, 2, 3])}, "users": {"age": torch.tensor([4, 5])}}
    sums = torch.tensor([1.5], dtype=torch.float64)
    moved = move(replace(batch_of([[1, 2], [3]]), **columns, weight_T=torch.ones(3), step_weights_K=sums, slot_B=None))
    for tensor in (moved.events["kind"], moved.users["age"], moved.weight_T):
        assert tensor.device.type == "meta"
    assert moved.step_weights_K is sums and moved.slot_B is None


def test_to_moves_every_tensor_but_the_counts_that_decisions_need():
    moved = batch_of([[1, 2], [3]]).to("meta")
    assert moved.host is not None and moved.host.lengths_B.tolist() == [2, 1], "known to the host, whoever made the batch"
    assert moved.items_T.device.type == moved.user_key_B.device.type == "meta"
    assert moved.step_counts_K.device.type == "cpu"
    assert moved.step == 4
