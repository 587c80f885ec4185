"""Lanes whose buffers would take as much memory as their data keep it: the same batches, every block read once, never more memory
than a resident pool; and memory that is used again only when nobody sees it any more."""

from __future__ import annotations

import gc
from collections import Counter
from dataclasses import replace

import pytest
import torch

from ltrec.data.stream.config import StreamConfig
from ltrec.data.stream.order.plan import Plan
from ltrec.data.stream.reading.shards import ShardReader
from ltrec.data.stream.recycled import Recycled
from tests.support.shards import fake_manifest
from tests.support.streaming import VARIANTS, all_same, epochs, make

LANES = [VARIANTS[name] for name in ("lanes", "random-lanes", "quota-lanes")]
every_streamed = pytest.mark.parametrize("config", LANES, ids=("lanes", "random-lanes", "quota-lanes"))


@pytest.fixture
def read(monkeypatch):
    """How often each row group is read."""
    found, whole = Counter(), ShardReader.read

    def counted(self, shard, group, columns):
        found[shard, group] += 1
        return whole(self, shard, group, columns)

    monkeypatch.setattr(ShardReader, "read", counted)
    return found


@every_streamed
@pytest.mark.parametrize(("rank", "size"), [(0, 1), (1, 3)])
def test_kept_rows_are_drawn_as_from_buffers(tiny, config, rank, size, monkeypatch, read):
    kept = make(tiny, replace(config, buffer_blocks=9), rank, size)
    assert kept._rows.kept
    found = epochs(kept, 3)
    often = sum(read.values())
    assert size > 1 or set(read.values()) == {1}, "every block once, in three epochs"
    monkeypatch.setattr(Plan, "keeps", lambda *_: False)
    read.clear()
    buffered = make(tiny, replace(config, buffer_blocks=9), rank, size)
    assert not buffered._rows.kept and all_same(epochs(buffered, 3), found)
    assert sum(read.values()) > often


def test_a_buffer_with_a_block_beyond_the_kept_ones_is_read_alone(tiny, monkeypatch):
    config = replace(LANES[0], buffer_blocks=9)
    expected = epochs(make(tiny, config, 1, 3), 2)
    whole = Plan.blocks_of
    monkeypatch.setattr(Plan, "blocks_of", lambda self, number, lanes: whole(self, number, lanes)[2:-2])
    loader = make(tiny, config, 1, 3)
    assert all_same(epochs(loader, 2), expected)
    assert loader._rows.of.values(), "some came from a buffer"


@pytest.mark.parametrize("users", [200, 2_000, 20_000, 200_000])
@pytest.mark.parametrize("lanes", [1, 6, 48])
def test_lanes_never_take_more_memory_than_a_resident_pool(users, lanes):
    manifest = fake_manifest([[users // 8] * 8], block_rows=4)
    streamed, resident = (
        Plan.of(manifest, 0, StreamConfig(batch_rows=48, resident_mib=mib, buffer_blocks=8)) for mib in (0, 1 << 20)
    )
    assert resident.pools[0].resident and not streamed.pools[0].resident
    assert streamed.memory_bytes(lanes) <= resident.memory_bytes(lanes)
    assert streamed.keeps(0, lanes) == (streamed.memory_bytes(lanes) < streamed._two_buffers(streamed.pools[0], lanes))


def test_memory_is_used_again_when_its_tensor_and_all_parts_are_gone():
    memory = Recycled()
    first = memory.tensor((2, 50))
    first[:] = torch.arange(100).view(2, 50)
    parts = torch.split_with_sizes(first[1], [20, 30])
    place = first.data_ptr()
    del first
    gc.collect()
    assert memory.tensor((2, 50)).data_ptr() != place, "a part is still seen"
    assert parts[1].tolist() == [*range(70, 100)]
    seen = parts[1].numpy()
    del parts
    gc.collect()
    assert memory.tensor((2, 50)).data_ptr() != place and seen[0] == 70
    del seen
    gc.collect()
    again = [memory.tensor((2, 40)) for _ in range(3)]
    assert place in [tensor.data_ptr() for tensor in again]
    assert len({tensor.data_ptr() for tensor in again}) == 3
    assert memory.tensor((3, 500)).shape == (3, 500)


def test_batches_that_are_kept_do_not_change(tiny):
    loader = make(tiny, LANES[0])
    kept = epochs(loader, 1)
    copies = [(batch.items_T.clone(), batch.targets_T.clone()) for batch in kept]
    epochs(loader, 2)
    assert all(
        torch.equal(batch.items_T, a) and torch.equal(batch.targets_T, b) for batch, (a, b) in zip(kept, copies, strict=True)
    )
