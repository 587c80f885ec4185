"""Who brings a target: counts by stratum from the manifest alone, against plain Python on the log itself and against the stream."""

from __future__ import annotations

from collections import Counter, defaultdict

import pytest

from ltrec.core.strata import Strata
from ltrec.data.stream.config import StreamConfig
from ltrec.data.stream.order.plan import Plan
from ltrec.data.stream.order.trained import TrainedUsers, drawn_strata
from ltrec.run.progress.announcements import say_untrained
from tests.support.logs import START, prepared
from tests.support.shards import leave_one_out, random_users, write_dataset

LENGTHS = [1, 2, 3, 3, 3, 3, 4, 4, 4, 5, 5, 6, 6, 7, 8, 9, 12, 15, 20, 3, 3, 2, 4, 1, 30]
"""Events of each user. Under leave_one_out one and two are all for training, from three on all but two."""


def log():
    return [(f"u{u}", f"i{(u * 7 + n * n) % 11}", START + n) for u, length in enumerate(LENGTHS) for n in range(length)]


def by_hand(strata, lengths, chosen):
    """(everybody, those with two training events, their events) of every stratum."""
    found = defaultdict(Counter)
    for length in lengths:
        training = length if length < 3 else length - 2
        z = max(k for k, bound in enumerate(strata.lower_bounds) if bound <= training)
        if z in chosen:
            found["all"][z] += 1
            found["users"][z] += training >= 2
            found["events"][z] += training * (training >= 2)
    return [tuple(found[name][z] for z in range(strata.count)) for name in ("all", "users", "events")]


@pytest.mark.parametrize("bounds", [(), (1, 2, 4), (1, 3, 6), (1, 10)])
@pytest.mark.parametrize("users", ["all", "tail", "head"])
def test_counts_are_those_of_the_log(tmp_path, bounds, users):
    manifest = prepared(tmp_path, log(), strata=4, strata_bounds=bounds)
    strata = manifest.strata
    chosen = {"all": range(strata.count), "tail": range(strata.first_head), "head": range(strata.first_head, strata.count)}[users]
    trained = TrainedUsers.of(manifest, users)
    assert [trained.all_K, trained.users_K, trained.events_K] == by_hand(strata, LENGTHS, chosen)
    for count in range(1, strata.count + 1):
        merged = strata.merged(count)
        sums = [
            [sum(n for n, b in zip(column, merged.stratum_map, strict=True) if b == z) for z in range(count)]
            for column in _columns(trained)
        ]
        assert [list(column) for column in _columns(trained.merged(merged))] == sums


def _columns(trained):
    return trained.all_K, trained.users_K, trained.events_K


def test_a_stratum_of_single_events_is_not_trained(tmp_path):
    manifest = prepared(tmp_path, log(), strata_bounds=(1, 2, 4))
    assert manifest.trainable_K[0] == 0 < manifest.strata.users[0]
    assert TrainedUsers.of(manifest, "all").events_K[0] == 0 < manifest.strata.events[0]


@pytest.mark.parametrize(
    ("config", "strata"),
    [
        (StreamConfig(), [1, 2, 3]),
        (StreamConfig(users="tail"), [1, 2]),
        (StreamConfig(users="head"), [3]),
        (StreamConfig(composition="quota"), [1, 2, 3]),
        (StreamConfig(composition="quota", quotas=(0, 0, 0.5, 0.5)), [2, 3]),
    ],
)
def test_strata_that_steps_hold(tmp_path, config, strata):
    sparse = [leave_one_out(100 + n, [1, 2, 3], 0) for n in range(5)]
    manifest = write_dataset(tmp_path, [*sparse, *random_users([0, 9, 9, 9])])
    assert drawn_strata(manifest, config).tolist() == strata


def strata_of(count):
    return Strata(tuple(range(1, count + 1)), (1,) * count, (1,) * count, count)


@pytest.mark.parametrize(
    ("trained", "heirs"),
    [
        ([0, 1, 2, 3, 4], (0, 1, 2, 3, 4)),
        ([1, 2, 3, 4], (1, 1, 2, 3, 4)),
        ([0, 1], (0, 1, 1, 1, 1)),
        ([0, 2, 4], (0, 0, 2, 2, 4)),
        ([4, 0], (0, 0, 0, 4, 4)),
        ([3], (3, 3, 3, 3, 3)),
    ],
)
def test_heirs_are_the_nearest_and_of_two_the_lower(trained, heirs):
    assert strata_of(5).heirs(trained) == heirs


def test_strata_that_are_not_trained_are_reported(tmp_path, capsys):
    mixed = [leave_one_out(100 + n, [1, 2, 3], 0) for n in range(3)] + [leave_one_out(200 + n, [1, 2, 3], 1) for n in range(2)]
    manifest = write_dataset(tmp_path, [*mixed, *random_users([0, 4, 5])])
    say_untrained(Plan.of(manifest, 0, StreamConfig(batch_rows=48)), (1, 1, 2))
    assert capsys.readouterr().out.splitlines() == [
        "stratum 0: 0 of 3 users have a target to train on",
        "stratum 1: 4 of 6 users have a target to train on",
        "stratum 0 trains no plugin: that of stratum 1 serves it",
    ]
    say_untrained(Plan.of(manifest, 0, StreamConfig(batch_rows=48, users="head")), (2, 2, 2))
    assert capsys.readouterr().out.splitlines() == [
        "stratum 0 trains no plugin: that of stratum 2 serves it",
        "stratum 1 trains no plugin: that of stratum 2 serves it",
    ], "who was left out on purpose is said elsewhere"
