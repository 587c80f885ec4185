"""Files stay open from one row group to the next, a few in each thread, and damage is found all the same."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pyarrow.parquet as pq
import pytest

from ltrec.core.errors import UserError
from ltrec.data.stream.reading import open_files
from ltrec.data.stream.reading.open_files import OpenFiles
from ltrec.data.stream.reading.shards import ShardReader
from tests.support.shards import random_users, write_dataset

COLUMNS = ["user_key", "items"]


@pytest.fixture
def dataset(tmp_path):
    return tmp_path, write_dataset(tmp_path, random_users([14]), block_rows=4)


@pytest.fixture
def openings(monkeypatch):
    """Paths of files that are opened to be read."""
    found, whole = [], open_files.opened

    def noted(path, footer):
        found.append(path)
        return whole(path, footer)

    monkeypatch.setattr(open_files, "opened", noted)
    return found


def test_a_file_is_opened_once_in_each_thread(dataset, openings):
    folder, manifest = dataset
    files = ShardReader(folder, manifest)
    first = [files.read(0, group, COLUMNS) for group in (2, 0, 3, 1)]
    assert len(openings) == 1
    with ThreadPoolExecutor(1) as other:
        again = [other.submit(files.read, 0, group, COLUMNS).result() for group in (2, 0, 3, 1)]
    assert len(openings) == 2 and again == first
    with pq.ParquetFile(folder / manifest.shards[0].path) as naive:
        assert first == [naive.read_row_group(group, columns=COLUMNS) for group in (2, 0, 3, 1)]


def test_damage_that_comes_while_a_file_is_open_is_found_and_so_is_its_mending(dataset, openings):
    folder, manifest = dataset
    path = folder / manifest.shards[0].path
    files = ShardReader(folder, manifest, check="size")
    whole, expected = path.read_bytes(), files.read(0, 1, COLUMNS)
    with pq.ParquetFile(path) as file:
        items = file.metadata.row_group(1).column(7)
    place = items.data_page_offset + items.total_compressed_size - 1
    with path.open("r+b") as handle:
        handle.seek(place)
        handle.write(bytes([whole[place] ^ 255]))
    with pytest.raises(UserError, match=r"row group 1: .*; the data set is damaged"):
        files.read(0, 1, COLUMNS)
    path.unlink()
    path.write_bytes(whole)
    assert files.read(0, 1, COLUMNS) == expected
    assert len(openings) == 2, "opened anew after the damage"


def test_only_the_last_files_stay_open(dataset, tmp_path, monkeypatch):
    folder, manifest = dataset
    monkeypatch.setattr(open_files, "_KEPT", 2)
    data, paths = (folder / manifest.shards[0].path).read_bytes(), [tmp_path / f"{number}.parquet" for number in range(3)]
    for path in paths:
        path.write_bytes(data)
    footer = pq.read_metadata(paths[0])
    files = OpenFiles()
    first, second = (files.of(path, footer) for path in paths[:2])
    assert files.of(paths[0], footer) is first
    third = files.of(paths[2], footer)
    assert second.closed and not first.closed and not third.closed
    assert files.of(paths[0], footer) is first
    files.close(paths[0])
    files.close(paths[0])
    assert first.closed and files.of(paths[0], footer) is not first
