"""Damaged data sets: every flipped byte is found, and the message says where."""

from __future__ import annotations

from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ltrec.core import columns as c
from ltrec.core.errors import UserError
from ltrec.core.storage.atomic import sha256_file
from ltrec.core.world import World
from ltrec.data.stream.config import StreamConfig
from ltrec.data.stream.loader import StreamLoader
from ltrec.data.stream.order.plan import Plan
from ltrec.data.stream.reading.histories import SplitHistories
from ltrec.data.stream.reading.shards import ShardReader
from ltrec.data.stream.reading.vocabulary import Vocabulary
from tests.support.shards import random_users, write_dataset

COLUMNS = [c.USER_ID, c.USER_KEY, c.STRATUM, c.TRAIN_EVENTS, c.ITEMS]
TINY = StreamConfig(batch_rows=4, lanes=2)


@pytest.fixture
def dataset(tmp_path):
    manifest = write_dataset(tmp_path, random_users([14]), block_rows=4)
    return tmp_path, manifest, tmp_path / manifest.shards[0].path


def flip(path, position, bit=7):
    data = bytearray(path.read_bytes())
    data[position] ^= 1 << bit
    path.write_bytes(data)


def train(folder, manifest, check="hash"):
    return list(StreamLoader(folder, manifest, Plan.of(manifest, 0, TINY), world=World(), check=check))


def test_every_flipped_byte_of_a_shard_stops_training_and_evaluation(dataset):
    folder, manifest, path = dataset
    size = path.stat().st_size
    for position in [*range(0, size, 211), size - 1]:
        flip(path, position)
        with pytest.raises(UserError, match=r"part-00000.parquet is damaged: its sha256 differs"):
            train(folder, manifest)
        with pytest.raises(UserError, match=r"part-00000.parquet is damaged"):
            SplitHistories(folder, manifest, "test", 5)
        flip(path, position)
    assert train(folder, manifest)


def test_without_hashes_a_flipped_byte_of_a_page_is_found_when_its_row_group_is_read(dataset):
    folder, manifest, path = dataset
    with pq.ParquetFile(path) as file:
        places = {}
        for group in range(file.metadata.num_row_groups):
            for number in range(file.metadata.num_columns):
                chunk = file.metadata.row_group(group).column(number)
                if chunk.path_in_schema.split(".")[0] in COLUMNS:
                    places[chunk.data_page_offset + chunk.total_compressed_size - 1] = group
    for position, group in places.items():
        flip(path, position)
        files = ShardReader(folder, manifest, check="size")
        with pytest.raises(UserError, match=f"part-00000.parquet, row group {group}: .*; the data set is damaged"):
            files.read(0, group, COLUMNS)
        assert files.read(0, (group + 1) % 4, COLUMNS).num_rows
        flip(path, position)


def test_without_hashes_a_damaged_page_surfaces_from_training_with_its_step(dataset):
    folder, manifest, path = dataset
    with pq.ParquetFile(path) as file:
        items = file.metadata.row_group(2).column(7)
    assert items.path_in_schema == "items.list.element"
    flip(path, items.data_page_offset + items.total_compressed_size - 1)
    with pytest.raises(UserError, match=r"^step 0: .*part-00000.parquet, row group 2: "):
        train(folder, manifest, check="size")


def test_a_flipped_footer_never_ends_in_a_foreign_exception(dataset):
    folder, manifest, path = dataset
    size = path.stat().st_size
    found = 0
    names = [path.read_bytes().rindex(name.encode()) for name in COLUMNS]
    for position in [*range(size - 2000, size, 37), *names]:
        flip(path, position)
        try:
            ShardReader(folder, manifest, check="size").read(0, 1, COLUMNS)
        except UserError as error:
            found += 1
            assert "\n" not in str(error) and "part-00000.parquet" in str(error)
        flip(path, position)
    assert found


def test_missing_truncated_and_grown_shards_are_named_at_open(dataset):
    folder, manifest, path = dataset
    data = path.read_bytes()
    for content, message in [(data[:-1], "has .* bytes, the manifest says"), (data + b"x", "has .* bytes"), (None, "is missing")]:
        path.unlink() if content is None else path.write_bytes(content)
        with pytest.raises(UserError, match=f"part-00000.parquet {message}"):
            StreamLoader(folder, manifest, Plan.of(manifest, 0, TINY), world=World())


def rewrite(path, manifest, change):
    """Write the shard anew with other contents but a matching manifest: what checks of meaning must find."""
    table = pq.read_table(path, partitioning=None)
    columns = {name: table.column(name).to_pylist() for name in table.column_names}
    change(columns)
    pq.write_table(pa.table(columns, schema=table.schema), path, row_group_size=4, write_page_checksum=True)
    shard = replace(manifest.shards[0], bytes=path.stat().st_size, sha256=sha256_file(path))
    return replace(manifest, shards=(shard,))


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        (c.ITEMS, [3, 0, 5, 6, 7], r"row group 1: item ids 0\.\.\d+ outside 1\.\.50"),
        (c.ITEMS, [3, 51, 5, 6, 7], r"row group 1: item ids \d+\.\.51 outside 1\.\.50"),
        (c.ITEMS, [3], "row group 1: train_events below 2 or beyond the end of items"),
        (c.TRAIN_EVENTS, 1, "row group 1: train_events below 2"),
        (c.STRATUM, 1, "row group 1: rows of another stratum than 0"),
    ],
)
def test_impossible_rows_are_refused(dataset, column, value, message):
    folder, manifest, path = dataset

    def change(columns):
        columns[column][5] = value

    with pytest.raises(UserError, match=message):
        train(folder, rewrite(path, manifest, change))


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        (c.ITEMS, [], "row group 1: an empty sequence"),
        (c.TEST_AT, 99, "row group 1: .*a target outside"),
        (c.TEST_AT, -2, "row group 1: .*a target outside"),
        (c.ITEMS, [60] * 20, r"row group 1: item ids \d+\.\.60 outside"),
    ],
)
def test_impossible_histories_are_refused(dataset, column, value, message):
    folder, manifest, path = dataset

    def change(columns):
        columns[column][5] = value

    changed = rewrite(path, manifest, change)
    with pytest.raises(UserError, match=message):
        SplitHistories(folder, changed, "test", 5).chunk(0)


def test_a_shard_with_other_rows_than_the_manifest_says_is_refused(dataset):
    folder, manifest, _ = dataset
    changed = replace(manifest, shards=(replace(manifest.shards[0], rows=13),))
    with pytest.raises(UserError, match="does not hold the 13 rows in 4 row groups"):
        train(folder, changed)


def test_a_damaged_vocabulary_is_refused(dataset):
    folder, manifest, _ = dataset
    path = folder / manifest.vocab.path
    flip(path, 20)
    with pytest.raises(UserError, match=r"items.parquet is damaged"):
        Vocabulary.load(folder, manifest)
    path.unlink()
    with pytest.raises(UserError, match=r"items.parquet is missing"):
        Vocabulary.load(folder, manifest)


def test_unknown_check_is_refused(dataset):
    folder, manifest, _ = dataset
    with pytest.raises(UserError, match=r"'hsh' is not one of hash, size .did you mean 'hash'"):
        ShardReader(folder, manifest, check="hsh")
