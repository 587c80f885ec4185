"""Shards that take rows from several files: every flipped byte is found, whichever file it is in, and names the file."""

from __future__ import annotations

import shutil

import numpy as np
import pyarrow.parquet as pq
import pytest

import ltrec
from ltrec.core.errors import UserError
from ltrec.data.manifest import Manifest
from ltrec.data.remote.folder import open_folder
from ltrec.data.row_list import RowList
from ltrec.data.stream.quarantine.damage import DamagedRowGroup
from ltrec.data.stream.quarantine.quarantine import Quarantine
from ltrec.data.stream.reading.shards import ShardReader
from ltrec.data.verify.dataset import verify
from ltrec.run.node_copy.copying import make_copy
from tests.support.appended import make_grown, rows_of
from tests.support.flips import flip


@pytest.fixture(scope="module")
def grown(tmp_path_factory):
    return make_grown(tmp_path_factory.mktemp("layers"), full=False).grown


@pytest.fixture
def copy(grown, tmp_path):
    shutil.copytree(grown, tmp_path / "data")
    return tmp_path / "data", Manifest.load(grown)


def files_of_a_shard(manifest):
    """Number of a shard with layers, and the paths of its list, of an old file and of the day's."""
    number, shard = next((n, shard) for n, shard in enumerate(manifest.shards) if len(shard.layers) == 2)
    by_size = sorted((manifest.layers[n] for n in shard.layers), key=lambda layer: layer.block_rows)
    return number, {"list": shard.path, "day": by_size[0].path, "old": by_size[1].path}


@pytest.mark.parametrize("which", ["list", "day", "old"])
def test_every_flipped_byte_is_found(copy, which):
    folder, manifest = copy
    path = folder / files_of_a_shard(manifest)[1][which]
    for at in [*range(0, path.stat().st_size, 307), path.stat().st_size - 1]:
        flip(path, at)
        with pytest.raises(UserError, match=rf"{path.name} is damaged"):
            rows_of(folder)
        with pytest.raises(UserError, match=rf"{path.name} is damaged"):
            verify(folder)
        flip(path, at)
    assert rows_of(folder)


def flip_page(folder, manifest, which):
    """Flip a bit in the first page of items of a file."""
    path = folder / files_of_a_shard(manifest)[1][which]
    with pq.ParquetFile(path) as file:
        group = file.metadata.row_group(0)
        chunk = next(c for c in map(group.column, range(group.num_columns)) if c.path_in_schema.startswith("items"))
    flip(path, chunk.data_page_offset + chunk.total_compressed_size - 1)
    return path


@pytest.mark.parametrize("which", ["day", "old"])
def test_damage_of_a_file_is_damage_of_the_row_groups_that_need_it(copy, which):
    folder, manifest = copy
    number = files_of_a_shard(manifest)[0]
    path = flip_page(folder, manifest, which)
    with pytest.raises(DamagedRowGroup, match=rf"{path.name}, of which row group 0 of .*rows.parquet takes rows") as caught:
        ShardReader(folder, manifest, check="size").read(number, 0, ["items"])
    assert (caught.value.shard, caught.value.group, caught.value.rule) == (number, 0, "bytes")


@pytest.mark.parametrize("which", ["day", "old"])
@pytest.mark.parametrize("check", ["hash", "size"])
def test_quarantine_takes_these_row_groups_alone(copy, which, check):
    folder, manifest = copy
    number = files_of_a_shard(manifest)[0]
    flip_page(folder, manifest, which)
    files, failed = ShardReader(folder, manifest, check, Quarantine(manifest, 1.0, lambda _: None)), []
    groups = range(-(-manifest.shards[number].rows // manifest.block_rows))
    for group in groups:
        try:
            files.read(number, group, ["items"])
        except DamagedRowGroup:
            failed.append(group)
    assert failed and len(failed) < len(groups)


def test_a_list_is_runs_of_rows():
    layer, row = np.array([0, 0, 1, 0, 0, 1, 1]), np.array([0, 1, 0, 2, 4, 1, 2])
    found = RowList.of(layer, row)
    assert [column.tolist() for column in (found.layer, found.first, found.rows)] == [
        [0, 1, 0, 0, 1],
        [0, 0, 2, 4, 1],
        [2, 1, 1, 1, 2],
    ]
    assert [column.tolist() for column in found.expanded()] == [layer.tolist(), row.tolist()]


def test_a_copy_on_the_node_and_a_data_set_in_a_store_are_the_same(grown, tmp_path, monkeypatch):
    monkeypatch.setenv("LTREC_CACHE", str(tmp_path / "cache"))
    place = tmp_path / "node" / "job"
    place.parent.mkdir()
    copied, _ = make_copy(grown, place)
    assert rows_of(copied) == rows_of(grown)
    cached = open_folder(f"file://{grown}")
    assert rows_of(cached) == rows_of(grown)
    assert ltrec.verify(f"file://{grown}").digest == Manifest.load(grown).digest
