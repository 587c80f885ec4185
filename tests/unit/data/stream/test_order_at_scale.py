"""The order of 10^9 users on 64 processes: little memory, and hardly a byte is read twice."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from ltrec.data.stream.config import StreamConfig
from ltrec.data.stream.order.plan import Plan
from tests.support.shards import fake_manifest

STRATA, BLOCK_ROWS, PROCESSES, ROWS = 5, 4096, 64, 1_000_000_000
CONFIG = StreamConfig(batch_rows=64 * PROCESSES, lanes=PROCESSES)


@pytest.fixture(scope="module", params=[4_095, 20_000])
def plan(request):
    """The plan, and the number of shards."""
    each = request.param // STRATA
    manifest = fake_manifest([[ROWS // STRATA // each] * each] * STRATA, BLOCK_ROWS, events_per_row=50)
    tracemalloc.start()
    made = Plan.of(manifest, 1, CONFIG)
    made.draws(123_456, range(1))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return made, request.param, peak


def test_a_plan_takes_little_memory(plan):
    made, _, peak = plan
    assert made.train_rows > 0.99 * ROWS and not made.pools[0].resident
    assert peak < 200e6


@pytest.mark.parametrize("processes_of_a_node", [1, 8])
def test_an_epoch_reads_every_shard_on_one_node_but_for_neighbours_at_a_border(plan, processes_of_a_node):
    """Lanes have equal numbers of rows, so a border between nodes cuts at most a shard of each stratum; row groups are read once
    but for those that a border between lanes cuts."""
    made, shards, _ = plan
    order = made._orders[0]
    nodes, groups, rows = [set() for _ in range(PROCESSES // processes_of_a_node)], 0, 0
    for lane in range(PROCESSES):
        pieces = order._lane_epoch((lane, 0)).pieces
        nodes[lane // processes_of_a_node] |= set(np.unique(pieces.blocks.shard).tolist())
        groups, rows = groups + pieces.blocks.count, rows + int((pieces.high - pieces.low).sum())
    assert rows == made.train_rows and len(set().union(*nodes)) == shards
    assert sum(map(len, nodes)) <= shards + STRATA * (len(nodes) - 1)
    assert groups <= made.pools[0].blocks.count + PROCESSES
    assert groups / made.pools[0].blocks.count < 1.0005
