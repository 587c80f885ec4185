"""Merged strata in the stream: the same rows in the same order, told apart less finely."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from ltrec.core.errors import UserError
from ltrec.core.world import World
from ltrec.data.stream.loader import StreamLoader
from ltrec.data.stream.order.expected import expected_presence_K, expected_targets_K
from ltrec.data.stream.order.plan import Plan
from tests.support.shards import random_users, write_dataset
from tests.support.streaming import VARIANTS, epochs, every_variant

MAPS = {1: [0, 0, 0], 2: [0, 0, 1], 3: [0, 1, 2]}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tiny")
    return folder, write_dataset(folder, random_users([40, 72, 80]), block_rows=3)


def loader_of(tiny, config, strata):
    folder, manifest = tiny
    return StreamLoader(
        folder, manifest, Plan.of(manifest, 5, config, manifest.strata.merged(strata)), world=World(0, 1), accumulate=2
    )


@every_variant
@pytest.mark.parametrize("count", MAPS)
def test_rows_and_digest_stay_and_strata_are_mapped(tiny, config, count):
    own, merged = loader_of(tiny, config, tiny[1].strata.count), loader_of(tiny, config, count)
    stratum_map = torch.tensor(MAPS[count])
    for before, after in zip(epochs(own, 1), epochs(merged, 1), strict=True):
        assert torch.equal(after.stratum_B, stratum_map[before.stratum_B])
        assert after.stratum_B.dtype == before.stratum_B.dtype and len(after.step_counts_K) == count
        sums = torch.zeros(count, dtype=torch.int64).index_add(0, stratum_map, before.step_counts_K)
        assert torch.equal(after.step_counts_K, sums)
        same = ("items_T", "targets_T", "offsets", "user_key_B", "slot_B")
        assert all(torch.equal(getattr(after, name), getattr(before, name)) for name in same)
    assert merged.state_dict() == own.state_dict(), "a run may resume the order with other strata; its digest is of the data set's"


@every_variant
@pytest.mark.parametrize("count", MAPS)
def test_expectations_are_those_of_the_merged(tiny, config, count):
    folder, manifest = tiny
    own, merged = Plan.of(manifest, 5, config), Plan.of(manifest, 5, config, manifest.strata.merged(count))
    sums = torch.zeros(count, dtype=torch.float64).index_add(
        0, torch.tensor(MAPS[count]), expected_targets_K(folder, manifest, own)
    )
    torch.testing.assert_close(expected_targets_K(folder, manifest, merged), sums, rtol=1e-14, atol=0)
    steps = epochs(loader_of(tiny, config, count), 2)
    there = torch.stack([batch.step_counts_K > 0 for batch in steps if batch.micro == 0]).double().mean(0)
    assert torch.allclose(expected_presence_K(manifest, merged), there, atol=0.02)


def test_presence_of_merged_strata_is_not_a_sum(tiny):
    """Two strata that are there most of the time are not there 1.8 times."""
    _, manifest = tiny
    small = replace(VARIANTS["resident"], batch_rows=12)
    presence = expected_presence_K(manifest, Plan.of(manifest, 5, small, manifest.strata.merged(2)))
    apart = expected_presence_K(manifest, Plan.of(manifest, 5, small))
    assert apart[:2].sum() > 1 > presence[0] > apart[:2].max()


def test_more_strata_than_there_are_is_refused(tiny):
    with pytest.raises(UserError, match=r"strata=4 is more than the data set has, 3"):
        loader_of(tiny, VARIANTS["resident"], 4)
