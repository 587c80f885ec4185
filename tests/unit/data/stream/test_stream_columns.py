"""Columns in the stream: batches and histories carry the requested columns, and nothing else is read."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import pairwise

import pytest
import torch

from ltrec.columns.schema import Projection
from ltrec.core.errors import UserError
from ltrec.core.hashing import mix
from ltrec.data.stream.open import open_stream
from ltrec.data.stream.order.plan import Plan
from ltrec.data.stream.reading.histories import SplitHistories
from tests.support.columned import ALL, SCHEMA, TARGETS, make, with_columns
from tests.support.naive_order import planned_rows
from tests.support.shards import random_users, write_dataset
from tests.support.streaming import BASE, all_same, epochs, every_variant


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    folder = tmp_path_factory.mktemp("columns")
    users = with_columns(random_users([41, 40, 38]))
    return folder, write_dataset(folder, users, block_rows=3, schema=SCHEMA, split={"targets": TARGETS}), users


def users_by_row(manifest, users):
    """(shard, row) -> user."""
    by_stratum = {z: [u for u in users if u.stratum == z and u.train_events >= 2] for z in range(3)}
    return {
        (number, i): by_stratum[shard.stratum][int(shard.path[-13:-8]) * 30 + i]
        for number, shard in enumerate(manifest.shards)
        if shard.trainable
        for i in range(shard.rows)
    }


def is_target(user, n):
    return user.events["kind"][n] in TARGETS["kind"] and user.weight[n] > 0


def naive_row(user, step, config):
    """One row as a record."""
    last = user.train_events
    start = max(last - 7, 0)
    if config.window == "random" and start:
        start = mix(mix(5, step), user.key) % (start + 1)
    own = range(start, min(start + 7, last) - 1)
    return {
        "key": user.key,
        "stratum": user.stratum,
        "items": [user.items[n] for n in own],
        "targets": [user.items[n + 1] if is_target(user, n + 1) else 0 for n in own],
        "weight": [user.weight[n + 1] for n in own],
        "time": [user.times[n] for n in own],
        **{name: [user.events[name][n] for n in own] for name in ("kind", "price", "seen")},
        **user.columns,
    }


def records(batch):
    bounds = batch.offsets.tolist()
    return [
        {
            "key": batch.user_key_B[b].item(),
            "stratum": batch.stratum_B[b].item(),
            "items": batch.items_T[low:high].tolist(),
            "targets": batch.targets_T[low:high].tolist(),
            "weight": batch.weight_T[low:high].tolist(),
            **{name: values[low:high].tolist() for name, values in batch.events.items()},
            **{name: values[b].item() for name, values in batch.users.items()},
        }
        for b, (low, high) in enumerate(pairwise(bounds))
    ]


def told(rows):
    """Comparable: NaN is a price like any other."""
    return [repr(sorted(row.items())) for row in rows]


@every_variant
@pytest.mark.parametrize("accumulate", [1, 3])
@pytest.mark.parametrize("unit", ["target", "user"])
def test_batches_equal_the_naive_ones(tiny, config, accumulate, unit):
    _, manifest, users = tiny
    user_of, config = users_by_row(manifest, users), replace(config, unit=unit)
    plan = Plan.of(manifest, 5, config)
    for batch in make(tiny, config, accumulate=accumulate, columns=ALL):
        slots = [user_of[row] for row in planned_rows(plan, batch.step, range(12), 3)]
        whole = [naive_row(user, batch.step, config) for user in slots]
        expected = whole[batch.micro :: accumulate]
        assert told(records(batch)) == told(sorted(expected, key=lambda row: -len(row["items"])))
        counts, weights, squares = Counter(), Counter(), Counter()
        for row in whole:
            hits = [weight for target, weight in zip(row["targets"], row["weight"], strict=True) if target]
            counts[row["stratum"]] += len(hits) if unit == "target" else bool(hits)
            weights[row["stratum"]] += sum(hits)
            squares[row["stratum"]] += sum(weight**2 for weight in hits)
        assert batch.step_counts_K.tolist() == [counts[z] for z in range(3)]
        if unit == "target":
            assert batch.step_weights_K.tolist() == [weights[z] for z in range(3)]
            assert batch.step_squares_K.tolist() == [squares[z] for z in range(3)]
            assert batch.step_weights_K.dtype == batch.step_squares_K.dtype == torch.float64
        else:
            assert batch.step_weights_K is batch.step_squares_K is None
        assert batch.has_gaps
        assert [batch.events[name].dtype for name in ALL.events] == [torch.int32, torch.float32, torch.int64, torch.int64]


@every_variant
def test_columns_change_neither_the_order_nor_its_digests(tiny, config, tmp_path):
    _, manifest, users = tiny
    plain_users = [replace(user, events={}, columns={}, weight=None) for user in users]
    plain = tmp_path, write_dataset(tmp_path, plain_users, block_rows=3), plain_users
    assert Plan.of(plain[1], 5, config).digest == Plan.of(manifest, 5, config).digest
    with_all, without, bare = make(tiny, config, columns=ALL), make(tiny, config), make(plain, config)
    batches = [epochs(loader, 2) for loader in (with_all, without, bare)]
    for mine, same, other in zip(*batches, strict=True):
        assert torch.equal(mine.items_T, other.items_T) and torch.equal(mine.user_key_B, other.user_key_B)
        assert all_same([replace(mine, events={}, users={})], [same])
    digests = [loader.state_dict()["data_digest"] for loader in (with_all, without, bare)]
    assert len({*digests}) == 1


def test_every_world_sees_the_same_rows_with_columns(tiny):
    whole = {(b.step, b.micro): Counter(told(records(b))) for b in make(tiny, BASE, accumulate=2, columns=ALL)}
    sums = {b.step: b.step_weights_K for b in make(tiny, BASE)}
    together, found = {}, {}
    for rank in range(3):
        for b in make(tiny, BASE, rank=rank, size=3, accumulate=2, columns=ALL):
            together.setdefault((b.step, b.micro), Counter()).update(told(records(b)))
            found[b.step] = found.get(b.step, 0) + b.step_weights_K * (b.micro == 0)
    assert together == whole
    assert all(torch.equal(found[step], sums[step]) for step in sums)


@pytest.mark.parametrize("split", ["valid", "test", "all"])
@pytest.mark.parametrize("max_len", [3, 50])
def test_histories_equal_the_naive_ones(tiny, split, max_len):
    folder, manifest, users = tiny
    histories = SplitHistories(folder, manifest, split, max_len, 7, columns=ALL)
    by_name, seen = {user.name: user for user in users}, 0
    for chunk in (histories.chunk(i) for i in range(len(histories))):
        bounds = chunk.batch.offsets.tolist()
        for name, b, (low, high) in zip(chunk.user_id, range(chunk.batch.num_rows), pairwise(bounds), strict=True):
            user = by_name[name]
            at = {"valid": user.valid_at, "test": user.test_at, "all": len(user.items)}[split]
            own = slice(max(at - max_len, 0), at)
            expected = {"items": user.items[own], "time": user.times[own]}
            expected |= {name: values[own] for name, values in user.events.items()}
            found = {name: values[low:high].tolist() for name, values in chunk.batch.events.items()}
            assert told([found | {"items": chunk.batch.items_T[low:high].tolist()}]) == told([expected])
            assert {name: values[b].item() for name, values in chunk.batch.users.items()} == user.columns
            seen += 1
    assert seen == histories.num_rows > 0


def test_a_data_set_without_columns_has_times(tmp_path):
    manifest = write_dataset(tmp_path, random_users([30]))
    loader = open_stream(tmp_path, BASE, columns=Projection(events=("time",)))
    batch = next(iter(loader))
    assert torch.equal(batch.events["time"].diff()[:3], torch.ones(3, dtype=torch.int64))
    assert not batch.has_gaps and batch.weight_T is None and batch.step_weights_K is None
    assert SplitHistories(tmp_path, manifest, "test", 5).chunk(0).batch.events == {}


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (Projection(events=("prize",)), r"no event column 'prize' \(did you mean 'price'\?\); it has kind, price, seen, time"),
        (Projection(users=("time",)), r"no user column 'time'.*; it has job, age"),
    ],
)
def test_an_unknown_column_is_refused(tiny, asked, message):
    with pytest.raises(UserError, match=message):
        make(tiny, BASE, columns=asked)
    with pytest.raises(UserError, match=message):
        SplitHistories(*tiny[:2], "test", 5, columns=asked)
