"""Expected rows, targets and presence per step: what the stream really delivers over whole passes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from ltrec.causal.horvitz_thompson import HorvitzThompson
from ltrec.core import columns as c
from ltrec.core.errors import UserError
from ltrec.data.stream.config import StreamConfig
from ltrec.data.stream.order.expected import expected_presence_K, expected_targets_K
from ltrec.data.stream.order.plan import Plan
from ltrec.data.stream.reading.shards import ShardReader
from tests.support.naive_order import planned_rows
from tests.support.shards import fake_manifest, leave_one_out, random_users, write_dataset
from tests.support.streaming import BASE, VARIANTS, epochs, every_variant, make

QUOTAS = [10, 9, 5]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """Folder, manifest and users, some not trainable; 16 steps (two epochs) are whole passes in every variant."""
    folder = tmp_path_factory.mktemp("tiny")
    users = random_users([40, 72, 80])
    users += [leave_one_out(len(users) + n, [1, 2, 3], stratum=0) for n in range(7)]
    return folder, write_dataset(folder, users, block_rows=3), users


def plan_of(tiny, config, seed=5):
    return Plan.of(tiny[1], seed, config)


def targets_per_row(users, stratum, max_len):
    """Naive: of each trainable user of a stratum."""
    return [min(u.train_events, max_len + 1) - 1 for u in users if u.stratum == stratum and u.train_events >= 2]


@every_variant
def test_the_formula(tiny, config):
    folder, manifest, users = tiny
    found = expected_targets_K(folder, manifest, plan_of(tiny, config))
    each = [targets_per_row(users, z, 6) for z in range(3)]
    assert max(map(max, each)) == 6 > min(map(min, each)), "some rows are cut, some are not"
    expected_rows = QUOTAS if config.composition == "quota" else [24 * len(targets) / 192 for targets in each]
    expected = [n * np.mean(targets) for n, targets in zip(expected_rows, each, strict=True)]
    assert found.tolist() == pytest.approx(expected, rel=1e-14)
    assert found.dtype == torch.float64


@every_variant
@pytest.mark.parametrize("size", [1, 2])
def test_equal_to_the_average_of_what_is_streamed(tiny, config, size):
    folder, manifest, _ = tiny
    targets = torch.zeros(3, dtype=torch.int64)
    for rank in range(size):
        for batch in epochs(make(tiny, config, rank, size, accumulate=2), 2):
            targets += batch.step_counts_K if batch.micro == 0 else 0
    plan = plan_of(tiny, config)
    assert torch.allclose(targets.double() / 16, expected_targets_K(folder, manifest, plan), rtol=1e-14)


@pytest.mark.parametrize("name", ["resident", "lanes", "quota"])
def test_horvitz_thompson_over_whole_passes_is_the_adjusted_gradient(tiny, name):
    """The gradient of a target is stood in for by a function of its item. Exact although rows are cut and windows differ."""
    folder, manifest, users = tiny
    prior = torch.tensor([0.6, 0.3, 0.1], dtype=torch.float64)
    rule = HorvitzThompson(prior, expected_targets_K(folder, manifest, plan_of(tiny, VARIANTS[name])))
    average = 0.0
    for batch in epochs(make(tiny, VARIANTS[name]), 2):
        stratum_T = batch.stratum_B.repeat_interleave(batch.offsets.diff())
        average += (rule.coefficients_K[stratum_T] * batch.targets_T.double().sin()).sum().item() / 16
    wanted = 0.0
    for z, share in enumerate(prior.tolist()):
        targets = [u.items[: u.train_events][-7:][1:] for u in users if u.stratum == z and u.train_events >= 2]
        wanted += share * np.sin(np.concatenate(targets)).mean()
    assert average == pytest.approx(wanted, abs=1e-12)


def test_neither_the_seed_nor_the_kind_of_window_matters(tiny):
    folder, manifest, _ = tiny
    values = [
        expected_targets_K(folder, manifest, plan_of(tiny, config, seed))
        for seed in (1, 2)
        for config in (BASE, replace(BASE, window="random"), replace(BASE, resident_mib=0))
    ]
    assert all(torch.equal(values[0], value) for value in values[1:])


def test_a_stratum_without_quota_or_trainable_users_is_never_drawn(tiny, tmp_path):
    folder, manifest, _ = tiny
    plan = plan_of(tiny, replace(BASE, composition="quota", quotas=(14, 0, 10)))
    assert expected_targets_K(folder, manifest, plan)[1] == 0
    assert expected_presence_K(manifest, plan).tolist() == [1.0, 0.0, 1.0]
    untrainable = [leave_one_out(n, [1, 2, 3], stratum=0) for n in range(5)]
    lonely = write_dataset(tmp_path, [*untrainable, *(leave_one_out(9 + n, [1, 2, 3, 4], stratum=1) for n in range(6))])
    plan = Plan.of(lonely, 0, StreamConfig(batch_rows=6, lanes=2))
    assert expected_targets_K(tmp_path, lonely, plan).tolist() == [0.0, 6.0]
    assert expected_presence_K(lonely, plan).tolist() == [0.0, 1.0]


@pytest.mark.parametrize(("rows", "batch"), [([27, 6, 2], 10), ([14, 3, 1], 4), ([8, 1], 12)])
def test_presence_is_that_of_the_planned_steps(rows, batch):
    manifest = fake_manifest([[count] for count in rows], block_rows=4)
    config = StreamConfig(batch_rows=batch, lanes=2)
    period, orders = sum(rows), 60
    present = torch.zeros(len(rows), dtype=torch.float64)
    for seed in range(orders):
        plan = Plan.of(manifest, seed, config)
        for step in range(period):
            for stratum in {manifest.shards[shard].stratum for shard, _ in planned_rows(plan, step, range(2), 4)}:
                present[stratum] += 1 / (period * orders)
    expected = expected_presence_K(manifest, Plan.of(manifest, 0, config))
    error = (expected * (1 - expected) / (period * orders)).sqrt()
    assert ((present - expected).abs() <= 3 * error + 1e-12).all(), (present, expected)
    assert expected.min() < 1


def test_reads_one_column_and_hashes_nothing(tiny, monkeypatch):
    folder, manifest, _ = tiny
    asked, checks = [], []
    read, init = ShardReader.read, ShardReader.__init__
    monkeypatch.setattr(
        ShardReader, "read", lambda self, *where_and_what: asked.append(where_and_what) or read(self, *where_and_what)
    )
    monkeypatch.setattr(
        ShardReader, "__init__", lambda self, *options, check: checks.append(check) or init(self, *options, check=check)
    )
    expected_targets_K(folder, manifest, plan_of(tiny, BASE))
    assert checks == ["size"]
    assert {tuple(columns) for _, _, columns in asked} == {(c.TRAIN_EVENTS,)}
    blocks = [(shard, group) for shard, group, _ in asked]
    assert blocks == sorted(set(blocks))
    assert len(blocks) == plan_of(tiny, BASE).pools[0].blocks.count


def test_damage_is_found(tmp_path):
    manifest = write_dataset(tmp_path, random_users([12]))
    path = tmp_path / manifest.shards[0].path
    group = pq.read_metadata(path).row_group(0)
    [column] = [group.column(i) for i in range(group.num_columns) if group.column(i).path_in_schema == c.TRAIN_EVENTS]
    content = bytearray(path.read_bytes())
    content[column.data_page_offset + column.total_compressed_size - 3] ^= 4
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"row group 0: .*damaged, prepare the data again with --overwrite"):
        expected_targets_K(tmp_path, manifest, Plan.of(manifest, 0, replace(BASE, batch_rows=12)))
    path.unlink()
    with pytest.raises(UserError, match="is missing"):
        expected_targets_K(tmp_path, manifest, Plan.of(manifest, 0, replace(BASE, batch_rows=12)))
