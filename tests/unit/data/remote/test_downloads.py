"""Data larger than the node's disk: an epoch downloads every shard about once, ahead of its use, within the cache's budget."""

from collections import Counter

import pytest

from ltrec.core.storage.remote.store import RemoteStore
from ltrec.core.world import World
from ltrec.data.manifest import Manifest
from ltrec.data.remote.config import CacheConfig
from ltrec.data.remote.folder import open_folder, shard_files
from ltrec.data.stream.config import StreamConfig
from ltrec.data.stream.loader import StreamLoader
from ltrec.data.stream.order.plan import Plan
from ltrec.data.stream.reading.downloads import Downloads
from ltrec.data.stream.reading.training_rows import TrainingRows
from tests.support.shards import random_users, write_dataset

LANES, AT_ONCE = 4, 2
SETTINGS = StreamConfig(batch_rows=16, lanes=LANES, resident_mib=0, buffer_blocks=2, shuffle_shards=AT_ONCE)


@pytest.fixture
def store(tmp_path, monkeypatch):
    """Eighty shards of four blocks under an address, and an empty cache."""
    monkeypatch.setenv("LTREC_CACHE", str(tmp_path / "cache"))
    write_dataset(tmp_path / "store", random_users([320, 320]), block_rows=2, shard_rows=8)
    return tmp_path / "store"


@pytest.fixture
def came(monkeypatch):
    """How often each file was downloaded."""
    count, blocks = Counter(), RemoteStore.blocks

    def counted(self, name, size):
        count[name] += 1
        return blocks(self, name, size)

    monkeypatch.setattr(RemoteStore, "blocks", counted)
    return count


def streamed(folder, config=SETTINGS, lanes_of=None):
    manifest = Manifest.load(folder)
    loader = StreamLoader(folder, manifest, Plan.of(manifest, 3, config), world=lanes_of or World())
    return [(batch.items_T.tolist(), batch.user_key_B.tolist()) for batch in loader]


def test_an_epoch_downloads_every_shard_about_once_into_a_cache_that_is_smaller(store, came):
    manifest = Manifest.load(store)
    largest = max(shard.bytes for shard in manifest.shards)
    folder = open_folder(f"file://{store}", CacheConfig(retry_seconds=0))
    cache = shard_files(folder)._cache
    cache._max_bytes = manifest.vocab.bytes + 5 * LANES * AT_ONCE * largest  # roomy: who is first must not matter
    assert cache._max_bytes < 0.6 * sum(shard.bytes for shard in manifest.shards)
    assert streamed(folder) == streamed(store)
    assert cache.used_bytes() <= cache._max_bytes
    shards = {shard.path for shard in manifest.shards}
    assert shards <= set(came) and sum(came[path] for path in shards) <= 1.2 * len(shards)


def test_without_groups_of_shards_such_a_cache_downloads_them_many_times(store, came):
    manifest = Manifest.load(store)
    folder = open_folder(f"file://{store}", CacheConfig(retry_seconds=0))
    shard_files(folder)._cache._max_bytes = manifest.vocab.bytes + 3 * LANES * AT_ONCE * max(s.bytes for s in manifest.shards)
    streamed(folder, StreamConfig(batch_rows=16, lanes=LANES, resident_mib=0, buffer_blocks=2))
    assert sum(came[shard.path] for shard in manifest.shards) > 1.5 * len(manifest.shards)


def test_ranks_of_a_node_download_each_shard_once(store, came):
    folder = open_folder(f"file://{store}")
    for rank in range(2):
        streamed(folder, lanes_of=World(rank, 2))
    assert set(came.values()) == {1}


def test_shards_are_asked_for_in_the_order_of_their_use_and_once(store, monkeypatch):
    folder = open_folder(f"file://{store}", CacheConfig(downloads=1))
    manifest = Manifest.load(folder)
    plan = Plan.of(manifest, 3, SETTINGS)
    rows, asked = TrainingRows(folder, manifest, plan), []
    with Downloads(plan, range(LANES), rows, 5) as downloads:
        monkeypatch.setattr(downloads._pool, "submit", lambda get, shard: asked.append(shard))
        downloads.before(5)
        first = rows.shards_of(plan.draws(5, range(LANES))[0].buffer)
        for step in range(6, 12):
            downloads.before(step)
        downloads.before(11)
    buffers = list(dict.fromkeys(d.buffer for step in range(5, 16) for d in plan.draws(step, range(LANES))))
    assert asked[: len(first)] == first
    assert asked == [shard for buffer in buffers for shard in rows.shards_of(buffer)]


def test_nothing_is_asked_for_where_shards_are_here(store):
    manifest = Manifest.load(store)
    plan = Plan.of(manifest, 3, SETTINGS)
    with Downloads(plan, range(LANES), TrainingRows(store, manifest, plan), 0) as downloads:
        downloads.before(0)
        assert not downloads._requested
