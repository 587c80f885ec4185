"""Rows that lie anywhere, taken, joined and packed: the same as lists of each row's events, for every column."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ltrec.data.stream.runs.loose_rows import LooseRows
from ltrec.data.stream.runs.packing import Packing

runs_of = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)).map(sorted), max_size=8)


def loose(runs, key=0):
    """Rows of three columns of events and two of users."""
    starts, ends = (np.array([run[i] for run in runs], np.int64) for i in range(2))
    items = np.arange(30, dtype=np.int32) + 100 * key
    events = {"items": items, "target": items % 3 == 0, "vector": np.stack([items, items / 7], axis=1).astype(np.float32)}
    number = np.arange(len(runs)) + 10 * key
    return LooseRows(starts, ends, events, {"user_key": number, "user.pair": np.stack([number, -number], axis=1)})


def listed(rows):
    """What every row owns, column by column."""
    return [
        [values[a:b].tolist() for values in rows.events.values()] + [values[row].tolist() for values in rows.users.values()]
        for row, (a, b) in enumerate(zip(rows.starts.tolist(), rows.ends.tolist(), strict=True))
    ]


def packed(rows):
    return listed(LooseRows.of(rows))


@given(runs_of, st.data())
def test_rows_are_packed_in_any_order_and_more_than_once(runs, data):
    rows = loose(runs)
    order = np.array(data.draw(st.lists(st.integers(0, len(runs) - 1), max_size=12) if runs else st.just([])), np.int64)
    expected = [listed(rows)[row] for row in order]
    assert listed(rows.taken(order)) == expected and packed(rows.packed(order)) == expected
    whole = rows.packed()
    assert packed(whole) == listed(rows)
    assert listed(LooseRows.chosen(whole, order)) == expected
    low, high = (len(runs) // 3, len(runs))
    for part in (LooseRows.neighbours(whole, low, high), rows.slice(low, high), rows.slice(low, high).trimmed()):
        assert listed(part) == listed(rows)[low:high]
    assert LooseRows.neighbours(whole, low, high).entries == sum(b - a for a, b in runs[low:high])


@given(st.lists(runs_of, min_size=1, max_size=4))
def test_joined_rows_are_those_of_all_parts(parts):
    rows = [loose(runs, key) for key, runs in enumerate(parts)]
    expected = [row for part in rows for row in listed(part)]
    assert listed(LooseRows.concatenate(rows)) == expected
    assert listed(LooseRows.concatenate([part.trimmed() for part in rows])) == expected
    again = rows[0]
    joined = LooseRows.concatenate([again, again])
    assert listed(joined) == 2 * listed(again) and joined.events is again.events, "one source stays one"


def test_rows_with_much_between_them_are_copied_so_that_it_may_go():
    sparse, dense = loose([(0, 2), (28, 30)]), loose([(0, 12), (13, 25)])
    assert sparse.trimmed().entries == 4 and not np.shares_memory(sparse.trimmed().events["items"], sparse.events["items"])
    assert dense.trimmed().entries == 25 and np.shares_memory(dense.trimmed().events["items"], dense.events["items"])


@given(st.lists(st.one_of(runs_of, st.integers(0, 3)), max_size=5), st.integers(0, 40))
def test_packing_appends_rows_and_empty_places_whatever_was_expected(parts, entries):
    rows = sum(part if isinstance(part, int) else len(part) for part in parts)
    packing, expected = Packing(rows, entries), []
    for key, part in enumerate(parts):
        if isinstance(part, int):
            packing.skip(part)
            expected += part * [[[], [], [], 0, [0, 0]]]
        else:
            packing.add(loose(part, key))
            expected += listed(loose(part, key))
    assert packing.is_empty == all(isinstance(part, int) for part in parts)
    if not packing.is_empty:
        assert packed(packing.rows()) == expected
