"""Which plugin serves a history: by its own length, while reports keep to the user's training stratum."""

from __future__ import annotations

import numpy as np
import pytest

from ltrec.core.strata import Strata
from ltrec.data.stream.reading.histories import SplitHistories
from tests.support.shards import User, leave_one_out, write_dataset

BOUNDS = Strata(lower_bounds=(2, 5, 9), users=(1, 1, 1), events=(1, 1, 1), head_from=9)


def routed(folder, manifest, split, strata=BOUNDS, max_len=3, cold=False):
    """user -> (plugin's stratum, training stratum, events that the history has)"""
    histories = SplitHistories(folder, manifest, split, max_len, 4, strata=strata)
    chunks = [
        (histories.cold_chunk if cold else histories.chunk)(i) for i in range(histories.num_cold_chunks if cold else len(histories))
    ]
    return {
        name: (route, stratum, length)
        for chunk in chunks
        for name, route, stratum, length in zip(
            chunk.user_id, chunk.batch.stratum_B.tolist(), chunk.stratum_B.tolist(), chunk.history_length_B.tolist(), strict=True
        )
    }


@pytest.fixture(scope="module")
def crossing(tmp_path_factory):
    """u4 trains on 4 events, one below the second bound; u8 on 8, u7 on 7; u50 is new; u60 is new with one event; u70 is cold."""
    users = [leave_one_out(n, list(range(1, n + 3)), 0 if n < 5 else 1) for n in (4, 7, 8)]
    users += [User("u50", list(range(1, 13)), -1, 0, -1, 10), User("u60", [1, 2], -1, 0, -1, 1), User("u70", [3, 4], -1, 0, -1, 0)]
    folder = tmp_path_factory.mktemp("crossing")
    return folder, write_dataset(folder, users)


def test_a_user_who_crosses_a_threshold_changes_plugin_but_not_stratum_in_reports(crossing):
    valid, test = (routed(*crossing, split) for split in ("valid", "test"))
    assert valid["u4"] == (0, 0, 4) and test["u4"] == (1, 0, 5)
    assert valid["u8"] == (1, 1, 8) and test["u8"] == (2, 1, 9)
    assert valid["u7"] == (1, 1, 7) and test["u7"] == (1, 1, 8), "no threshold between"
    assert routed(*crossing, "all")["u7"] == (2, 1, 9), "predictions know the last event too"


def test_the_length_is_that_of_the_whole_history(crossing):
    assert routed(*crossing, "test", max_len=1) == routed(*crossing, "test", max_len=50)


def test_new_and_cold_users_are_served(crossing):
    test = routed(*crossing, "test")
    assert test["u50"] == (2, -1, 10), "by what is known of him"
    assert test["u60"] == (0, -1, 1), "below the first bound: the lowest"
    assert routed(*crossing, "test", cold=True) == {"u70": (0, -1, 0)}


def test_merged_strata_route_and_reports_stay(crossing):
    two, _ = BOUNDS.merged(2)
    test = routed(*crossing, "test", strata=two)
    assert {name: (route, stratum) for name, (route, stratum, _) in test.items()} == {
        "u4": (0, 0),
        "u7": (0, 1),
        "u8": (1, 1),
        "u50": (1, -1),
        "u60": (0, -1),
    }


def test_events_removed_by_the_history_cap_count(tmp_path, monkeypatch):
    """A capped user stores 6 of 20 training events. He is as active as ever."""
    users = [leave_one_out(1, list(range(1, 9)), 2), leave_one_out(2, list(range(1, 9)), 1)]
    manifest = write_dataset(tmp_path, users)
    monkeypatch.setattr("ltrec.data.stream.reading.histories.int_column", _activity_of_twenty)
    assert [route for route, _, _ in routed(tmp_path, manifest, "valid").values()] == [2, 2]


def _activity_of_twenty(table, name):
    column = table.column(name).to_numpy().astype(np.int64)
    return np.full_like(column, 20) if name == "activity" else column
