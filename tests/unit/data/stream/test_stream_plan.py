"""The order: equal to its naive form, the same for every world, a concatenation of permutations, exact in quotas, well shuffled."""

from __future__ import annotations

import dataclasses
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ltrec.core.errors import UserError
from ltrec.core.world import World
from ltrec.data.stream.config import StreamConfig
from ltrec.data.stream.order.plan import Plan
from tests.support.naive_order import naive_steps, planned_rows
from tests.support.shards import fake_manifest

SHARDS = st.lists(st.lists(st.integers(1, 20), min_size=1, max_size=4), min_size=1, max_size=3)


@st.composite
def plans(draw, lanes):
    """A manifest, a config with so many lanes, and their plan; all four combinations of composition and residency."""
    manifest = fake_manifest(draw(SHARDS), draw(st.integers(1, 4)))
    config = StreamConfig(
        batch_rows=lanes * draw(st.integers(1, 4)),
        lanes=lanes,
        composition=draw(st.sampled_from(["natural", "quota"])),
        resident_mib=draw(st.sampled_from([0, 64])),
        buffer_blocks=draw(st.integers(1, 3)),
        shuffle_shards=draw(st.integers(0, 2)),
    )
    try:
        return manifest, config, Plan.of(manifest, draw(st.integers(0, 99)), config)
    except UserError as error:
        assume("too few" not in str(error) and "less than one" not in str(error))
        raise


@settings(max_examples=80)
@given(st.integers(1, 5).flatmap(plans))
def test_equal_to_the_naive_order(case):
    manifest, config, plan = case
    steps = plan.steps_per_epoch * 2 + 1
    expected = naive_steps(manifest, plan.seed, config, plan, steps)
    assert [planned_rows(plan, step, range(config.lanes), manifest.block_rows) for step in range(steps)] == expected


@pytest.mark.parametrize("resident_mib", [0, 64])
@pytest.mark.parametrize("composition", ["natural", "quota"])
def test_every_world_sees_the_same_steps_in_the_same_slots(composition, resident_mib):
    manifest = fake_manifest([[50, 31, 20], [70], [9, 60, 41]], block_rows=2)
    config = StreamConfig(batch_rows=72, lanes=24, composition=composition, resident_mib=resident_mib, buffer_blocks=2)
    for step in [0, 1, 3, 4, 5, 17, 1000]:
        whole = planned_rows(Plan.of(manifest, 5, config), step, range(24), 2)
        assert len(whole) == 72
        for size in (1, 2, 3, 4, 6, 8, 12, 24):
            plan = Plan.of(manifest, 5, config)
            shares = [World(rank, size).share(24, "lanes") for rank in range(size)]
            assert [row for lanes in shares for row in planned_rows(plan, step, lanes, 2)] == whole


@settings(max_examples=40)
@given(st.integers(1, 6).flatmap(plans))
def test_a_pool_is_a_concatenation_of_permutations(case):
    """After any number of steps visit counts within a pool differ by one at most: nothing is dropped or repeated."""
    manifest, config, plan = case
    pool_of = {(shard, 0): number for number, pool in enumerate(plan.pools) for shard in pool.blocks.shard.tolist()}
    visits: list[Counter] = [Counter() for _ in plan.pools]
    for step in range(3 * plan.steps_per_epoch + 2):
        rows = planned_rows(plan, step, range(config.lanes), manifest.block_rows)
        taken = [Counter(), Counter(), Counter()]
        for shard, row in rows:
            taken[pool_of[(shard, 0)]][(shard, row)] += 1
        for number, pool in enumerate(plan.pools):
            assert taken[number].total() == pool.quota
            visits[number] += taken[number]
            full, rest = divmod((step + 1) * pool.quota, pool.rows)
            assert sorted(visits[number].values()) == [full] * (pool.rows - rest if full else 0) + [full + 1] * rest


def test_far_steps_cost_no_more_than_near_ones_and_do_not_depend_on_the_past():
    manifest = fake_manifest([[50, 31], [70]], block_rows=2)
    config = StreamConfig(batch_rows=24, lanes=12, resident_mib=0, composition="quota", quotas=(17, 7))
    walked, jumped = Plan.of(manifest, 5, config), Plan.of(manifest, 5, config)
    for step in range(200):
        here = planned_rows(walked, step, range(12), 2)
    assert here == planned_rows(jumped, 199, range(12), 2)
    assert len(planned_rows(jumped, 10**12, range(12), 2)) == 24


def test_small_strata_wrap_within_a_step():
    manifest = fake_manifest([[3], [100]], block_rows=2)
    plan = Plan.of(manifest, 1, StreamConfig(batch_rows=20, lanes=4, composition="quota", quotas=(10, 10)))
    rows = planned_rows(plan, 0, range(4), 2)
    assert sorted(Counter(row for row in rows if row[0] == 0).values()) == [3, 3, 4]
    assert plan.visits_per_epoch == {"stratum 0": 10 * 6 / 3, "stratum 1": 10 * 6 / 100}


def drawn(plan, steps, lanes):
    """Step, lane and slot -> buffer, row in it and epoch of every draw, all steps put together or one at a time."""
    found = {}
    for draw in plan.draws_of(steps, lanes):
        for step, slot, row in zip(draw.steps.tolist(), draw.slots.tolist(), draw.rows.tolist(), strict=True):
            assert found.setdefault((steps[step], slot), (draw.buffer, row, draw.epoch)) == (draw.buffer, row, draw.epoch)
    return found


@settings(max_examples=60)
@given(st.integers(1, 5).flatmap(plans), st.integers(0, 30), st.integers(1, 9))
def test_steps_put_together_draw_what_each_draws(case, first, count):
    _, config, plan = case
    steps, lanes = range(first, first + count), range(config.lanes // 2, config.lanes)
    each = {key: draw for step in steps for key, draw in drawn(plan, range(step, step + 1), lanes).items()}
    assert drawn(plan, steps, lanes) == each and len(each) == count * len(lanes) * config.batch_rows // config.lanes


def test_a_small_streamed_pool_ends_many_times_within_steps_put_together():
    manifest = fake_manifest([[3], [100]], block_rows=1)
    config = StreamConfig(batch_rows=20, lanes=2, composition="quota", quotas=(10, 10), resident_mib=0)
    plan = Plan.of(manifest, 1, config)
    epochs = [draw.epoch for draw in plan.draws_of(range(7), range(2)) if draw.buffer.pool == 0]
    assert {*epochs} == {*range(24)}, "70 draws of 3 rows"
    test_steps_put_together_draw_what_each_draws.hypothesis.inner_test((manifest, config, plan), 0, 7)


def test_epoch_is_rounded_up():
    assert Plan.of(fake_manifest([[100]], 8), 0, StreamConfig(batch_rows=48)).steps_per_epoch == 3
    assert Plan.of(fake_manifest([[96]], 8), 0, StreamConfig(batch_rows=48)).steps_per_epoch == 2
    assert Plan.of(fake_manifest([[1]], 8), 0, StreamConfig(batch_rows=48)).steps_per_epoch == 1


def test_seed_changes_the_order_and_options_change_the_digest():
    manifest = fake_manifest([[200], [200]], block_rows=2)
    base = StreamConfig(batch_rows=48, resident_mib=0)
    assert planned_rows(Plan.of(manifest, 0, base), 0, range(48), 2) != planned_rows(Plan.of(manifest, 1, base), 0, range(48), 2)
    changes = [
        {"batch_rows": 96},
        {"lanes": 24},
        {"composition": "quota"},
        {"max_len": 20},
        {"window": "random"},
        {"resident_mib": 64},
        {"buffer_blocks": 4},
        {"composition": "quota", "quotas": (0.25, 0.75)},
    ]
    digests = {Plan.of(manifest, 0, dataclasses.replace(base, **change)).digest for change in [{}, *changes]}
    assert len(digests) == len(changes) + 1
    for harmless in ({"prefetch": 9}, {"threads": 1}, {"memory_mib": 1}, {"check": "size"}):
        assert Plan.of(manifest, 0, dataclasses.replace(base, **harmless)).digest == Plan.of(manifest, 0, base).digest


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"batch_rows": 100}, r"`batch_rows`=100 is not a multiple of `lanes`=48; try 96 or 144"),
        ({"batch_rows": 7}, "try 48"),
        ({"composition": "quotas"}, r"composition must be one of natural, quota; got 'quotas' \(did you mean 'quota'"),
        ({"window": "lst"}, "did you mean 'last'"),
        ({"max_len": 0}, "max_len must be at least 1; got 0"),
        ({"lanes": 0}, "lanes must be at least 1; got 0"),
        ({"quotas": (24, 24)}, "set `composition` to 'quota'"),
        (
            {"resident_mib": 0},
            r"all users: 26 blocks are too few for `lanes`=48; prepare the data with block_rows <= 2, .*`resident_mib` >= 1",
        ),
    ],
)
def test_impossible_options_are_refused(change, message):
    manifest = fake_manifest([[50], [52]], block_rows=4)
    with pytest.raises((UserError, ValueError), match=message):  # of the config itself
        Plan.of(manifest, 0, dataclasses.replace(StreamConfig(batch_rows=48), **change))


def test_data_without_trainable_users_is_refused():
    with pytest.raises(UserError, match="no user with two training events"):
        Plan.of(fake_manifest([], 4), 0, StreamConfig(batch_rows=48))


def test_memory_bound_does_not_grow_with_the_data():
    config = StreamConfig(batch_rows=48, resident_mib=0)
    small, large = (Plan.of(fake_manifest([[64] * n], block_rows=8), 0, config) for n in (150, 1500))
    assert small.memory_bytes(48) == large.memory_bytes(48) == 48 * small.memory_bytes(1)


@pytest.mark.parametrize("composition", ["natural", "quota"])
def test_lanes_hold_every_stratum_in_proportion(composition):
    """So that no process has all the long histories."""
    manifest = fake_manifest([[400, 400], [200, 200]], block_rows=4)
    plan = Plan.of(manifest, 0, StreamConfig(batch_rows=240, lanes=12, resident_mib=0, composition=composition))
    for lane in range(12):
        rows = [row for step in range(5) for row in planned_rows(plan, step, range(lane, lane + 1), 4)]
        share = np.mean([manifest.shards[shard].stratum for shard, _ in rows])
        assert share == pytest.approx(1 / 3 if composition == "natural" else 1 / 2, abs=0.08)


@pytest.mark.parametrize("resident_mib", [0, 64])
def test_shuffle_quality(resident_mib):
    """Neither file order nor the previous epoch predicts when a row comes; neighbours in time seldom share a block."""
    manifest = fake_manifest([[1600, 1600], [1600]], block_rows=16)
    plan = Plan.of(manifest, 3, StreamConfig(batch_rows=120, lanes=12, resident_mib=resident_mib, buffer_blocks=6))
    epochs = [[row for step in range(40 * e, 40 * e + 40) for row in planned_rows(plan, step, range(12), 16)] for e in range(2)]
    step_of = [{row: i // 120 for i, row in enumerate(epoch)} for epoch in epochs]
    rows = sorted(step_of[0])
    first, second = ([times[row] for row in rows] for times in step_of)
    assert abs(np.corrcoef(np.arange(4800), first)[0, 1]) < 0.15
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.15
    lane = [row for step in range(40) for row in planned_rows(plan, step, range(1), 16)]
    same_block = np.mean([a[0] == b[0] and a[1] // 16 == b[1] // 16 for a, b in pairwise(lane)])
    assert same_block < 0.25


GOLDEN = {
    "resident": [
        [(1, 36), (1, 18), (1, 3), (0, 12), (1, 20), (2, 12), (1, 11), (0, 37)],
        [(1, 33), (0, 19), (0, 36), (1, 29), (0, 38), (1, 4), (1, 34), (2, 15)],
        [(2, 6), (1, 26), (1, 13), (0, 0), (1, 32), (2, 29), (1, 31), (0, 25)],
    ],
    "lanes": [
        [(2, 5), (2, 7), (0, 21), (0, 22), (1, 4), (1, 19), (2, 24), (1, 36)],
        [(0, 15), (0, 20), (2, 11), (2, 10), (1, 3), (1, 1), (1, 31), (1, 34)],
        [(2, 2), (0, 8), (2, 15), (0, 27), (2, 18), (2, 19), (2, 29), (2, 30)],
    ],
    "quota": [
        [(0, 9), (2, 4), (0, 20), (2, 13), (1, 12), (2, 19), (1, 37), (2, 28)],
        [(0, 3), (2, 6), (0, 29), (2, 11), (1, 3), (2, 20), (1, 28), (2, 29)],
        [(0, 10), (2, 7), (0, 26), (2, 8), (1, 4), (2, 22), (1, 22), (2, 30)],
    ],
}


@pytest.mark.parametrize("name", ["resident", "lanes", "quota"])
def test_golden_order(name):
    """Frozen: a change here breaks the resumption of every checkpoint, and needs a new order version."""
    manifest = fake_manifest([[40, 40], [33]], block_rows=4)
    change = {"resident": {}, "lanes": {"resident_mib": 0}, "quota": {"resident_mib": 0, "composition": "quota"}}[name]
    plan = Plan.of(manifest, 42, StreamConfig(**{"batch_rows": 8, "lanes": 4, "buffer_blocks": 3} | change))
    assert [planned_rows(plan, step, range(4), 4) for step in (0, 14, 1000)] == GOLDEN[name]
