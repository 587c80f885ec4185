"""The loader: right rows, the same for every world, thread and prefetch; clean when dropped or broken."""

from __future__ import annotations

import gc
import threading
import time
from collections import Counter
from dataclasses import replace

import pytest
import torch

from ltrec.core.errors import UserError
from ltrec.core.hashing import mix
from ltrec.core.world import World
from ltrec.data.stream.config import StreamConfig
from ltrec.data.stream.loader import StreamLoader
from ltrec.data.stream.order.plan import Plan
from tests.support.naive_order import planned_rows
from tests.support.shards import random_users, write_dataset
from tests.support.streaming import BASE, VARIANTS, all_same, epochs, every_variant, make, rows
from tests.support.timeouts import scaled


@every_variant
@pytest.mark.parametrize("accumulate", [1, 3])
def test_batches_equal_the_naive_ones(tiny, config, accumulate):
    _, manifest, users = tiny
    by_stratum = {z: [u for u in users if u.stratum == z and u.train_events >= 2] for z in range(3)}
    user_of = {}
    for number, shard in enumerate(manifest.shards):
        if shard.trainable:
            first = int(shard.path[-13:-8]) * 30
            user_of |= {(number, i): by_stratum[shard.stratum][first + i] for i in range(shard.rows)}
    plan = Plan.of(manifest, 5, config)
    for batch in make(tiny, config, accumulate=accumulate):
        slots = planned_rows(plan, batch.step, range(12), 3)
        expected = []
        for user in (user_of[row] for row in slots[batch.micro :: accumulate]):
            n = user.train_events
            start = max(n - 7, 0)
            if config.window == "random" and start:
                start = mix(mix(5, batch.step), user.key) % (start + 1)
            run = user.items[:n][start : start + 7]
            expected.append((user.key, user.stratum, tuple(run[:-1]), tuple(run[1:])))
        assert rows(batch) == sorted(expected, key=lambda row: -len(row[2]))
        assert rows(batch.select(batch.slot_B.argsort())) == expected
        counts = Counter()
        for row in slots:
            counts[user_of[row].stratum] += min(user_of[row].train_events, 7) - 1
        assert batch.step_counts_K.tolist() == [counts[z] for z in range(3)]


@every_variant
def test_a_step_of_several_micro_batches_says_beforehand_what_it_reads(tiny, config):
    read = {}
    for batch in make(tiny, config, accumulate=3):
        read.setdefault(batch.step, (batch.step_items, []))[1].extend([*batch.items_T.tolist(), *batch.targets_T.tolist()])
    for step_items, items in read.values():
        assert step_items.tolist() == sorted(set(items))
    assert {batch.step_items for batch in make(tiny, config)} == {None}


@every_variant
def test_ranks_together_see_the_same_steps_and_micro_batches_for_every_world(tiny, config):
    whole = {(b.step, b.micro): Counter(rows(b)) for b in make(tiny, config, accumulate=2)}
    targets = {b.step: b.step_counts_K for b in make(tiny, config)}
    for size in (2, 3, 12):
        together, counts = {}, {}
        for rank in range(size):
            loader = make(tiny, config, rank, size, accumulate=2, threads=1)
            assert len(loader) == len(list(loader))
            for b in loader:
                together.setdefault((b.step, b.micro), Counter()).update(rows(b))
                counts[b.step] = counts.get(b.step, 0) + b.step_counts_K * (b.micro == 0)
        assert together == whole
        assert all(torch.equal(counts[step], targets[step]) for step in targets)


@every_variant
def test_threads_and_prefetch_change_nothing(tiny, config):
    reference = epochs(make(tiny, config, threads=1, prefetch=1), 2)
    for threads, prefetch in [(1, 8), (4, 0), (3, 3)]:
        assert all_same(epochs(make(tiny, config, threads=threads, prefetch=prefetch), 2), reference)


def test_the_host_knows_every_batch(tiny):
    for batch in epochs(make(tiny, BASE, accumulate=2), 1):
        assert batch.host is not None
        for name in ("lengths_B", "stratum_B", "slot_B"):
            assert torch.equal(getattr(batch.host, name), getattr(batch, name)), name


def test_worlds_and_accumulation_that_do_not_fit_are_refused(tiny):
    with pytest.raises(UserError, match=r"5 processes do not divide 12 lanes; allowed: 1, 2, 3, 4, 6, 12"):
        make(tiny, BASE, size=5)
    with pytest.raises(UserError, match=r"accumulate=5 does not divide the 24 rows .*allowed: 1, 2, 3, 4, 6"):
        make(tiny, BASE, accumulate=5)
    with pytest.raises(UserError, match=r"`memory_mib`=0; use more processes"):
        make(tiny, BASE, memory_mib=0)


def test_a_random_window_is_a_run_that_changes_from_visit_to_visit(tiny):
    _, _, users = tiny
    user_of = {u.key: u for u in users}
    starts = {}
    for batch in epochs(make(tiny, VARIANTS["random"]), 6):
        for key, _, items, targets in rows(batch):
            train = user_of[key].items[: user_of[key].train_events]
            run = [*items, targets[-1]]
            assert items[1:] == targets[:-1]
            found = [s for s in range(len(train) - len(run) + 1) if train[s : s + len(run)] == run]
            assert found and len(run) == min(7, len(train))
            starts.setdefault(len(train), []).append(found[0])
    assert set(starts[10]) == {0, 1, 2, 3}


def test_rows_are_sorted_longest_first(tiny):
    for batch in make(tiny, BASE, accumulate=4):
        assert (batch.lengths_B.diff() <= 0).all()


@pytest.mark.parametrize("scale", [1, 6])
def test_streamed_pools_hold_two_buffers_per_lane_for_any_size_of_data(tmp_path, scale):
    users = random_users([40 * scale, 40 * scale])
    folder, config = tmp_path, StreamConfig(batch_rows=8, lanes=4, max_len=6, buffer_blocks=2, resident_mib=0)
    manifest = write_dataset(folder, users, block_rows=4)
    plan = Plan.of(manifest, 0, config)
    loader = StreamLoader(folder, manifest, plan, world=World(0, 2), threads=2, prefetch=4)
    for _ in loader:
        held = [buffer.rows for buffer in loader._rows.of.values()]
        assert len(held) <= 2 * 2
        assert all(rows.user_key.size <= 2 * 4 for rows in held)
        assert sum(rows.items.nbytes + 3 * rows.user_key.nbytes for rows in held) <= plan.memory_bytes(2) * 2


@pytest.fixture
def own_threads():
    """The loader threads that began in this test: a run of an earlier test may still be waiting for the garbage collector."""
    gc.collect()
    earlier = set(threading.enumerate())
    return lambda: [t for t in threading.enumerate() if t.name.startswith("ltrec-") and t not in earlier]


def test_an_iterator_dropped_mid_epoch_leaves_no_threads(tiny, own_threads):
    for _ in make(tiny, VARIANTS["lanes"], threads=3, prefetch=6):
        break
    stream = iter(make(tiny, BASE, threads=3, prefetch=6))
    next(stream)
    assert own_threads()
    del stream
    deadline = time.monotonic() + scaled(20)
    while own_threads() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert own_threads() == []


def test_a_bad_block_surfaces_with_step_shard_and_row_group(tmp_path, own_threads):
    users = random_users([60])
    manifest = write_dataset(tmp_path, users, num_items=50)
    manifest = replace(manifest, vocab=replace(manifest.vocab, items=49))
    assert max(max(u.items) for u in users) == 50
    for resident_mib in (0, 64):
        plan = Plan.of(manifest, 0, StreamConfig(batch_rows=4, lanes=4, resident_mib=resident_mib))
        with pytest.raises(UserError, match=r"^step \d+: .*part-0000\d.parquet, row group \d: item ids \d+..50 outside 1..49"):
            list(StreamLoader(tmp_path, manifest, plan, world=World(), threads=2))
        assert own_threads() == []
