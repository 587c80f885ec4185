"""Quarantine: rows of damaged row groups are replaced, nothing else moves, and every process and resume sees the same."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from dataclasses import replace

import pytest

from ltrec.core.errors import UserError
from ltrec.data.manifest import Manifest
from ltrec.data.stream.order.plan import Plan
from ltrec.data.stream.quarantine.ledger import merged
from ltrec.data.stream.quarantine.quarantine import Quarantine
from ltrec.data.stream.state import add_digests
from tests.support.flips import flip_group, shards_of_stratum
from tests.support.naive_order import planned_rows
from tests.support.shards import random_users, write_dataset
from tests.support.streaming import VARIANTS, all_same, epochs, make, rows

CASES = [VARIANTS[name] for name in ("resident", "random-lanes", "quota", "quota-lanes")]
every_case = pytest.mark.parametrize("config", CASES, ids=("resident", "random-lanes", "quota", "quota-lanes"))
EPOCHS = 2


@pytest.fixture(scope="module")
def broken(tiny, tmp_path_factory):
    """The same with two damaged row groups of stratum 0 and one of stratum 2, and their places."""
    folder, manifest, users = tiny
    copy = tmp_path_factory.mktemp("broken") / "data"
    shutil.copytree(folder, copy)
    places = [
        (shards_of_stratum(manifest, 0)[0], 2),
        (shards_of_stratum(manifest, 0)[1], 1),
        (shards_of_stratum(manifest, 2)[0], 0),
    ]
    for place in places:
        flip_group(copy, manifest, *place)
    return (copy, manifest, users), places


def train(data, config, *args, said=None, budget=0.3, **options):
    quarantine = Quarantine(data[1], budget, (lambda _: None) if said is None else said.append)
    return make(data, config, *args, quarantine=quarantine, **options)


def by_slot(batch):
    return rows(batch.select(batch.slot_B.argsort()))


@every_case
@pytest.mark.parametrize("check", ["hash", "size"])
def test_only_damaged_rows_change_and_each_stays_in_its_stratum(tiny, broken, config, check):
    data, places = broken
    plan, strata = Plan.of(data[1], 5, config), {user.key: user.stratum for user in tiny[2]}
    lost_keys = {user.key for user in tiny[2]}
    replaced = Counter()
    loader = train(data, config, check=check)
    pairs = list(zip(epochs(make(tiny, config), EPOCHS), epochs(loader, EPOCHS), strict=True))
    for before, after in pairs:
        planned = planned_rows(plan, before.step, range(12), 3)
        for place, old, new in zip(planned, by_slot(before), by_slot(after), strict=True):
            group = (place[0], place[1] // 3)
            if group in places:
                replaced[group] += 1
                lost_keys.add(old[0])
                assert strata[new[0]] == old[1] == new[1]
                assert new[0] != old[0]
            else:
                assert new == old
    assert set(replaced) == set(places)
    entries = loader.ledger()
    assert {(data[1].shards[shard].path, group): count for (shard, group), count in replaced.items()} == {
        (entry.shard, entry.group): entry.replaced for entry in entries
    }
    assert [entry.rule for entry in entries] == ["bytes"] * 3
    assert {entry.stratum for entry in entries} == {0, 2}


@every_case
def test_no_row_of_a_damaged_group_is_ever_served_and_epochs_choose_others(tiny, broken, config):
    data, places = broken
    by_stratum = {z: [u for u in tiny[2] if u.stratum == z] for z in range(3)}
    lost = set()
    for shard, group in places:
        entry = data[1].shards[shard]
        first = int(entry.path[-13:-8]) * 30 + 3 * group
        lost |= {user.key for user in by_stratum[entry.stratum][first : first + 3]}
    visits = [Counter(), Counter()]
    whole = [Counter(), Counter()]
    for found, loader in ((visits, train(data, config)), (whole, make(tiny, config))):
        for number in range(2):
            for batch in epochs(loader, 1):
                found[number].update(batch.user_key_B.tolist())
    assert not lost & {*visits[0], *visits[1]}
    assert lost & {*whole[0]}, "they would have been served"
    assert visits[0] - whole[0] != visits[1] - whole[1], "other users take the places in the next epoch"


@every_case
def test_resume_at_every_step_equals_an_uninterrupted_run(broken, config):
    data, _ = broken
    running, states = train(data, config, accumulate=2), []
    whole = []
    for _ in range(EPOCHS):
        for batch in running:
            whole.append(batch)
            if batch.micro == 0:
                states.append(json.loads(json.dumps(running.state_dict())))
            else:
                running.advance(batch.step)
    final = running.state_dict()
    assert len(final["quarantine"]) == 3
    for step, state in list(enumerate(states))[1::3]:
        resumed = train(data, config, accumulate=2, threads=1, prefetch=0)
        resumed.load_state_dict(state)
        assert all_same(epochs(resumed, EPOCHS if step < len(states) // EPOCHS else 1), whole[2 * step :])
        assert resumed.state_dict() == final


@pytest.mark.parametrize("name", ["resident", "quota-lanes"])
@pytest.mark.parametrize("size", [2, 3, 4])
def test_any_number_of_processes_and_threads_sees_the_same_rows_and_ledger(broken, name, size):
    data, _ = broken
    config = VARIANTS[name]
    alone = train(data, config)
    expected = Counter((b.step, row) for b in epochs(alone, 1) for row in rows(b))
    ranks = [train(data, config, rank, size, threads=1 + rank) for rank in range(size)]
    seen = Counter((b.step, row) for loader in ranks for b in epochs(loader, 1) for row in rows(b))
    assert seen == expected
    total, ledgers = add_digests(*(loader._own_digest for loader in ranks)), [loader._quarantine.own() for loader in ranks]
    states = [loader.state_dict(lambda _: total, lambda _: ledgers) for loader in ranks]
    assert states == [alone.state_dict()] * size


def test_a_ledger_counts_only_what_was_trained_on(broken):
    data, _ = broken
    loader = train(data, VARIANTS["resident"], prefetch=5)
    stream = iter(loader)
    for _ in range(3):
        next(stream)
    assert loader.ledger() == ()
    assert "quarantine" not in loader.state_dict()
    for step in range(3):
        loader.advance(step)
    assert sum(entry.replaced for entry in loader.ledger()) > 0
    stream.close()


def test_a_checkpoint_keeps_a_group_in_quarantine_even_if_its_bytes_are_mended(tiny, broken):
    data, _ = broken
    first = train(data, VARIANTS["lanes"])
    epochs(first, 1)
    state = json.loads(json.dumps(first.state_dict()))
    mended = train(tiny, VARIANTS["lanes"])
    mended.load_state_dict(state)
    first_again = train(data, VARIANTS["lanes"])
    first_again.load_state_dict(state)
    assert all_same(epochs(mended, 1), epochs(first_again, 1))


def test_one_line_is_said_per_row_group(broken):
    said = []
    epochs(train(broken[0], VARIANTS["lanes"], said=said), 2)
    assert len(said) == 3
    assert all("\n" not in line for line in said)
    assert any(
        "stratum=0/part-00000.parquet, row group 2 is damaged (page checksum or encoding)" in line
        and "its 3 users are left out of validation, and others of stratum 0 take their places in training" in line
        for line in said
    )


def test_without_quarantine_damage_is_an_error_and_so_is_a_ledger(broken):
    data, _ = broken
    with pytest.raises(UserError, match=r"stratum=0/part-00000.parquet is damaged: its sha256 differs"):
        epochs(make(data, VARIANTS["resident"]), 1)
    with pytest.raises(UserError, match=r"row group \d: .*the data set is damaged"):
        epochs(make(data, VARIANTS["resident"], check="size"), 1)
    loader = train(data, VARIANTS["resident"])
    epochs(loader, 1)
    with pytest.raises(UserError, match=r"without 3 damaged row groups.*`on_damage`=quarantine") as caught:
        make(data, VARIANTS["resident"]).load_state_dict(loader.state_dict())
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["resident", "lanes"])
def test_the_budget_of_a_stratum_ends_the_run(broken, name):
    data, _ = broken
    with pytest.raises(UserError, match=r"of the 41 training users of stratum 0 .* `damage_budget`=0.1: copy") as caught:
        epochs(train(data, VARIANTS[name], budget=0.1), 1)
    assert "\n" not in str(caught.value)


def test_what_other_ranks_found_counts_for_the_budget(broken):
    data, _ = broken
    ranks = [train(data, VARIANTS["lanes"], rank, 2) for rank in range(2)]
    for loader in ranks:
        epochs(loader, 1)
    fresh = train(data, VARIANTS["lanes"], budget=0.14)
    with pytest.raises(UserError, match="6 of the 41 training users of stratum 0"):
        fresh.ledger(lambda _: [loader._quarantine.own() for loader in ranks])


def test_nobody_left_in_a_stratum_is_an_error(tmp_path):
    users = random_users([12, 12])
    manifest = write_dataset(tmp_path, users, block_rows=3)
    (shard,) = shards_of_stratum(manifest, 1)
    for group in range(4):
        flip_group(tmp_path, manifest, shard, group)
    config = replace(VARIANTS["resident"], batch_rows=12, lanes=4)
    for resident in (64, 0):
        loader = train((tmp_path, manifest, users), replace(config, resident_mib=resident), budget=1.0)
        with pytest.raises(UserError, match="no row group of stratum 1 is undamaged"):
            epochs(loader, 1)


def test_a_damaged_footer_is_an_error_under_any_policy(tiny, tmp_path):
    folder, manifest, users = tiny
    shutil.copytree(folder, tmp_path / "data")
    path = tmp_path / "data" / manifest.shards[0].path
    blob = bytearray(path.read_bytes())
    blob[-12] ^= 4  # in the name of the writer
    path.write_bytes(bytes(blob))
    with pytest.raises(UserError, match=r"no row group is to blame|cannot be read|does not hold"):
        epochs(train((tmp_path / "data", manifest, users), VARIANTS["resident"]), 1)


def test_columns_that_training_does_not_read_are_checked_with_the_hash(tiny, tmp_path):
    folder, manifest, users = tiny
    shutil.copytree(folder, tmp_path / "data")
    flip_group(tmp_path / "data", manifest, 0, 1, "times.list.element")
    loader = train((tmp_path / "data", manifest, users), VARIANTS["resident"])
    epochs(loader, 1)
    assert [(entry.shard, entry.group) for entry in loader.ledger()] == [(manifest.shards[0].path, 1)]


def test_a_foreign_ledger_is_refused(broken):
    data, _ = broken
    loader = train(data, VARIANTS["resident"])
    epochs(loader, 1)
    state = json.loads(json.dumps(loader.state_dict()))
    for change in ({"shard": "stratum=0/part-99999.parquet"}, {"group": 99}):
        state["quarantine"][0] |= change
        with pytest.raises(UserError, match="which the data set has not"):
            train(data, VARIANTS["resident"]).load_state_dict(state)
    state["quarantine"][0] |= {"rule": "hunch"}
    with pytest.raises(UserError, match="stream state is invalid"):
        train(data, VARIANTS["resident"]).load_state_dict(state)


def test_merging_adds_counts_and_keeps_the_earliest_finding(broken):
    data, _ = broken
    loader = train(data, VARIANTS["resident"])
    epochs(loader, 1)
    ledger = loader.ledger()
    later = tuple(replace(entry, since=entry.since + 7) for entry in reversed(ledger))
    both = merged([later, ledger])
    assert [entry.replaced for entry in both] == [2 * entry.replaced for entry in ledger]
    assert [entry.since for entry in both] == [entry.since for entry in ledger]
    assert merged([ledger]) == ledger


def test_the_manifest_is_never_in_quarantine(broken):
    assert Manifest.load(broken[0][0]).digest == broken[0][1].digest
