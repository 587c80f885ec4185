"""2,000 flipped bits in shards, footers, manifest and cache of a data set that is trained on: none of them is silent."""

from __future__ import annotations

import random
import shutil
from dataclasses import replace

import pytest

from ltrec.core.errors import UserError
from ltrec.core.storage.atomic import sha256_file
from ltrec.core.world import World
from ltrec.data.manifest import MANIFEST, Manifest
from ltrec.data.remote.config import CacheConfig
from ltrec.data.remote.folder import open_folder
from ltrec.data.stream.config import StreamConfig
from ltrec.data.stream.loader import StreamLoader
from ltrec.data.stream.order.plan import Plan
from ltrec.data.stream.quarantine.quarantine import Quarantine
from tests.support.flips import flip
from tests.support.logs import prepared, some_events
from tests.support.naive_order import planned_rows
from tests.support.streaming import rows

pytestmark = pytest.mark.slow

EACH = 500
CONFIG = StreamConfig(batch_rows=24, lanes=4, max_len=5)
BLOCK_ROWS = 4


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """The data set, its manifest, and the rows of every slot of an epoch."""
    folder = tmp_path_factory.mktemp("flips")
    prepared(folder, some_events(60, most=12), block_rows=BLOCK_ROWS, shard_events=120)
    manifest = Manifest.load(folder / "out")
    return folder / "out", manifest, epoch(folder / "out", manifest)


def epoch(folder, manifest, quarantine=None):
    loader = StreamLoader(
        folder, manifest, Plan.of(manifest, 1, CONFIG), world=World(), threads=1, prefetch=0, quarantine=quarantine
    )
    found = []
    for batch in loader:
        found.append(rows(batch.select(batch.slot_B.argsort())))
        loader.advance(batch.step)
    return found


def footer_bytes(path):
    return int.from_bytes(path.read_bytes()[-8:-4], "little") + 8


def places(folder, manifest, *, footer):
    """Random places of bits in the shards that are trained on: (file, byte, bit)."""
    draw = random.Random(7 + footer)
    paths = [folder / shard.path for shard in manifest.shards if shard.trainable]
    for _ in range(EACH):
        path = draw.choice(paths)
        size, last = path.stat().st_size, footer_bytes(path)
        yield path, draw.randrange(size - last, size) if footer else draw.randrange(size - last), draw.randrange(8)


def refuse_silence(data, path, quarantine):
    """After a flip in a shard every slot has the row that it had, or a row of the same stratum in place of a row group that the
    ledger names; at least one row group is in the ledger."""
    folder, manifest, whole = data
    found, plan = epoch(folder, manifest, quarantine), Plan.of(manifest, 1, CONFIG)
    ledger = {(entry.shard, entry.group) for entry in quarantine.own()}
    assert ledger and {shard for shard, _ in ledger} == {path.relative_to(folder).as_posix()}
    for step, (before, after) in enumerate(zip(whole, found, strict=True)):
        for (shard, row), old, new in zip(planned_rows(plan, step, range(4), BLOCK_ROWS), before, after, strict=True):
            if (manifest.shards[shard].path, row // BLOCK_ROWS) in ledger:
                assert new[0] != old[0] and new[1] == old[1]
            else:
                assert new == old


@pytest.mark.parametrize("footer", [False, True], ids=["shards", "footers"])
def test_shards_and_footers(data, footer):
    folder, manifest, _ = data
    survived = 0
    for path, at, bit in places(folder, manifest, footer=footer):
        flip(path, at, bit)
        with pytest.raises(UserError) as caught:
            epoch(folder, manifest)
        assert path.name in str(caught.value) and "\n" not in str(caught.value)
        try:
            refuse_silence(data, path, Quarantine(manifest, 1.0, lambda _: None))
            survived += 1
        except UserError as error:
            assert path.name in str(error) or "undamaged" in str(error)
        flip(path, at, bit)
    assert survived == 0 if footer else survived > EACH // 2
    assert epoch(folder, manifest) == data[2]


def test_manifest(data):
    folder, manifest, _ = data
    draw, path = random.Random(3), folder / MANIFEST
    for _ in range(EACH):
        at, bit = draw.randrange(path.stat().st_size), draw.randrange(8)
        flip(path, at, bit)
        with pytest.raises(UserError, match=r"manifest.json is damaged"):
            Manifest.load(folder)
        flip(path, at, bit)
    assert Manifest.load(folder) == manifest


def test_cache(data, tmp_path):
    """A damaged copy is replaced by another one, and nobody sees it."""
    folder, manifest, whole = data
    store = shutil.copytree(folder, tmp_path / "store")
    config = CacheConfig(dir=str(tmp_path / "cache"))
    epoch(open_folder(f"file://{store}", config), manifest)
    files, draw = sorted((tmp_path / "cache" / "files").iterdir()), random.Random(5)
    for _ in range(EACH):
        path = draw.choice(files)
        flip(path, draw.randrange(path.stat().st_size), draw.randrange(8))
        assert epoch(open_folder(f"file://{store}", replace(config)), manifest) == whole
        trained = {shard.sha256 for shard in manifest.shards if shard.trainable} | {manifest.vocab.sha256}
        assert path.name not in trained or sha256_file(path) == path.name
        if path.name not in trained:
            path.unlink()
            open_folder(f"file://{store}", config)
