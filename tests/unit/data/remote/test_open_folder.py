"""A data set in a store: the same batches as from its folder, damage found and mended, one line about what is missing."""

import errno
import os
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from ltrec.core.errors import UserError
from ltrec.core.world import World
from ltrec.data.manifest import MANIFEST, Manifest
from ltrec.data.remote.config import CacheConfig
from ltrec.data.remote.folder import cache_folder, manifest_of, open_folder, read_manifest, shard_files
from ltrec.data.stream.config import StreamConfig
from ltrec.data.stream.loader import StreamLoader
from ltrec.data.stream.open import open_stream
from ltrec.data.stream.order.plan import Plan
from ltrec.data.stream.reading.histories import SplitHistories
from ltrec.data.stream.reading.shards import ShardReader
from ltrec.data.stream.reading.vocabulary import Vocabulary
from tests.support.shards import random_users, write_dataset

SETTINGS = StreamConfig(batch_rows=24, lanes=12, resident_mib=0, buffer_blocks=2)


@pytest.fixture
def store(tmp_path, monkeypatch):
    """A data set under an address, and an empty cache."""
    monkeypatch.setenv("LTREC_CACHE", str(tmp_path / "cache"))
    write_dataset(tmp_path / "store", random_users([60, 50, 40]))
    return tmp_path / "store"


def address(store):
    return f"file://{store}"


def batches_of(stream):
    return [(b.items_T.tolist(), b.targets_T.tolist(), b.offsets.tolist(), b.user_key_B.tolist()) for b in stream]


def streamed(folder):
    manifest = Manifest.load(folder)
    loader = StreamLoader(folder, manifest, Plan.of(manifest, 5, SETTINGS), world=World())
    found = batches_of(loader)
    for step in range(len(found)):
        loader.advance(step)
    return found, loader.state_dict()


def cached(store):
    folder = store.parent / "cache" / "files"
    return {path.name: path for path in folder.iterdir()}


def test_batches_state_and_histories_are_those_of_the_folder(store):
    folder = open_folder(address(store), CacheConfig(retry_seconds=0))
    assert streamed(folder) == streamed(store)
    manifest = Manifest.load(folder)
    assert Vocabulary.load(folder, manifest).item_id == Vocabulary.load(store, manifest).item_id
    mine, theirs = (SplitHistories(f, manifest, "test", 5).chunk(0) for f in (folder, store))
    assert mine.user_id == theirs.user_id and mine.seen_T.equal(theirs.seen_T)
    assert set(cached(store)) == {sha256 for _, sha256 in manifest.files().values()}
    assert batches_of(open_stream(address(store), SETTINGS, seed=5)) == streamed(store)[0]


def test_opened_again_it_holds_what_it_held_and_no_more(store):
    descriptors = Path("/proc/self/fd")
    open_folder(address(store))
    before = len(list(descriptors.iterdir()))
    for _ in range(3):
        folder = open_folder(address(store))
    assert len(list(descriptors.iterdir())) == before
    assert manifest_of(folder) is manifest_of(folder) and manifest_of(folder) == Manifest.load(store)
    assert read_manifest(address(store)) == read_manifest(store) == Manifest.load(store)


def test_on_a_full_disk_shards_make_room_for_the_manifest(store, monkeypatch):
    folder, good = open_folder(address(store)), streamed(store)
    assert streamed(folder) == good
    (folder / MANIFEST).unlink()
    replace, files = os.replace, len(cached(store))

    def full(source, target):
        if Path(target).name == MANIFEST and len(cached(store)) > 1:
            raise OSError(errno.ENOSPC, "No space left on device")
        replace(source, target)

    monkeypatch.setattr("os.replace", full)
    assert streamed(open_folder(address(store))) == good and files > 2
    (folder / MANIFEST).unlink()

    def always_full(source, target):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.replace", always_full)
    with pytest.raises(UserError, match=r"cannot be written \(No space left on device\); choose another data.cache.dir"):
        open_folder(address(store))


def test_a_path_is_itself(tmp_path):
    assert open_folder(tmp_path) == tmp_path and open_folder("data/x").as_posix() == "data/x"


def test_shards_come_when_they_are_read(store):
    folder = open_folder(address(store))
    manifest = Manifest.load(folder)
    assert set(cached(store)) == {manifest.vocab.sha256}
    reader = ShardReader(folder, manifest)
    reader.read(1, 0, ["items"])
    assert set(cached(store)) == {manifest.vocab.sha256, manifest.shards[1].sha256}
    reader.get(2)
    assert manifest.shards[2].sha256 in cached(store) and reader.downloads == CacheConfig().downloads
    assert ShardReader(store, manifest).downloads == 0


def test_a_budget_of_two_shards_gives_the_same_batches(store):
    sizes = sorted(shard.bytes for shard in Manifest.load(store).shards)
    folder = open_folder(address(store), CacheConfig(retry_seconds=0))
    files = shard_files(folder)
    files._cache._max_bytes = (store / "vocab/items.parquet").stat().st_size + sizes[-1] + sizes[-2]
    assert streamed(folder) == streamed(store)
    assert files._cache.used_bytes() <= files._cache._max_bytes


def flip(path, position):
    data = bytearray(path.read_bytes())
    data[position] ^= 4
    path.chmod(0o600)
    path.write_bytes(data)


def test_every_flipped_byte_of_a_cached_shard_is_mended(store):
    open_folder(address(store))
    good, manifest = streamed(store), Manifest.load(store)
    shard = manifest.shards[0]
    for position in range(4, shard.bytes, 4999):
        folder = open_folder(address(store))  # as another process would
        ShardReader(folder, manifest).get(0)
        flip(cached(store)[shard.sha256], position)
        assert streamed(open_folder(address(store))) == good
        assert cached(store)[shard.sha256].read_bytes() == (store / shard.path).read_bytes()


def test_a_page_that_is_damaged_after_the_check_is_mended(store):
    folder, manifest = open_folder(address(store)), Manifest.load(store)
    reader, shard = ShardReader(folder, manifest), manifest.shards[0]
    good = reader.read(0, 0, ["items"])
    with pq.ParquetFile(store / shard.path) as file:
        chunk = next(c for n in range(99) if (c := file.metadata.row_group(1).column(n)).path_in_schema.startswith("items"))
    flip(cached(store)[shard.sha256], chunk.data_page_offset + chunk.total_compressed_size - 1)
    assert reader.read(0, 0, ["items"]).equals(good)
    assert reader.read(0, 1, ["items"]).num_rows
    assert cached(store)[shard.sha256].read_bytes() == (store / shard.path).read_bytes()


def test_damage_in_the_store_ends_in_one_line(store):
    folder, manifest = open_folder(address(store), CacheConfig(retry_seconds=0)), Manifest.load(store)
    flip(store / manifest.shards[0].path, 100)
    with pytest.raises(UserError, match=r"file://.*/store/stratum=0/part-00000.parquet is damaged: three times its content"):
        ShardReader(folder, manifest).read(0, 0, ["items"])
    (store / manifest.shards[1].path).unlink()
    with pytest.raises(UserError, match=r"part-00001.parquet is missing in the store; copy the data set"):
        ShardReader(folder, manifest).read(1, 0, ["items"])
    flip(store / MANIFEST, 50)
    with pytest.raises(UserError, match=r"file://.*/store/manifest.json is damaged"):
        open_folder(address(store))
    (store / MANIFEST).unlink()
    with pytest.raises(UserError, match=r"file://.*/store/manifest.json not found: .* is not a prepared data set"):
        open_folder(address(store))


def test_where_the_cache_is(tmp_path):
    def chosen(folder="", **variables):
        return cache_folder(CacheConfig(dir=folder), variables).as_posix()

    assert chosen("/nvme/x", LTREC_CACHE="/c", SLURM_TMPDIR="/t") == "/nvme/x"
    assert chosen("$SCRATCH", SCRATCH="/s") == "/s/ltrec"
    assert chosen(LTREC_CACHE="/c", SLURM_TMPDIR="/t") == "/c"
    assert chosen(SLURM_TMPDIR="/t") == "/t/ltrec"
    assert chosen().endswith("ltrec/data")
    with pytest.raises(UserError, match=r"data.cache.dir=\$SCRATCH: .* has no such variable"):
        chosen("$SCRATCH")
