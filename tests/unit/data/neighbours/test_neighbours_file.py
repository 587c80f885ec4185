"""The file of neighbours: whole or refused in one line, whatever was done to it."""

from __future__ import annotations

import os
import random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from ltrec.core.errors import UserError
from ltrec.core.storage.canonical import canonical_json
from ltrec.core.storage.sealed_parquet import write_sealed
from ltrec.data.neighbours.config import CoOccurrenceConfig, NeighboursConfig
from ltrec.data.neighbours.count import count_neighbours, made_of
from ltrec.data.neighbours.file import SCHEMA, read_neighbours, write_neighbours
from ltrec.data.neighbours.table import Neighbours
from tests.support.shards import fake_manifest, random_users, write_dataset


@pytest.fixture(scope="module")
def counted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    return count_neighbours(folder, write_dataset(folder, random_users([9, 9])))


def test_a_file_is_read_as_it_was_written(counted, tmp_path):
    write_neighbours(tmp_path / "new" / "n.parquet", counted)
    back = read_neighbours(tmp_path / "new" / "n.parquet", counted.made_of)
    assert torch.equal(back.item_VN, counted.item_VN)
    assert torch.equal(back.weight_VN, counted.weight_VN)
    assert back.made_of == counted.made_of
    assert back.digest == counted.digest
    assert (back.item_VN.dtype, back.weight_VN.dtype) == (torch.int32, torch.float32)


def test_an_items_rows_may_lie_in_several_batches(tmp_path, monkeypatch, counted):
    monkeypatch.setattr("ltrec.data.neighbours.file._ROWS", 3)
    write_neighbours(tmp_path / "n.parquet", counted)
    assert read_neighbours(tmp_path / "n.parquet").digest == counted.digest


def test_no_neighbours_at_all(tmp_path):
    none = Neighbours(torch.zeros(4, 2, dtype=torch.int32), torch.zeros(4, 2), {"data": "x"})
    write_neighbours(tmp_path / "n.parquet", none)
    assert read_neighbours(tmp_path / "n.parquet").digest == none.digest


def test_the_digest_tells_contents_data_and_options_apart(counted):
    other = [
        Neighbours(counted.item_VN.flip(1), counted.weight_VN, counted.made_of),
        Neighbours(counted.item_VN, counted.weight_VN * 2, counted.made_of),
        Neighbours(counted.item_VN, counted.weight_VN, {**counted.made_of, "data": "x"}),
        Neighbours(counted.item_VN, counted.weight_VN, {**counted.made_of, "max_gap": 2}),
    ]
    assert len({counted.digest, *(found.digest for found in other)}) == 5


def test_other_data_or_options_are_refused(counted, tmp_path):
    path = tmp_path / "n.parquet"
    write_neighbours(path, counted)
    manifest = fake_manifest([[3]], 4)
    for wanted, key in (
        (made_of(manifest, NeighboursConfig()), "data="),
        ({**counted.made_of, "max_gap": 3}, "max_gap=20, not 3"),
        ({**made_of(manifest, CoOccurrenceConfig()), "data": counted.made_of["data"]}, "last=None, not 50"),
    ):
        with pytest.raises(UserError, match=rf"n\.parquet was counted with {key}"):
            read_neighbours(path, wanted)


def test_every_flipped_bit_is_found(counted, tmp_path):
    path, draw = tmp_path / "n.parquet", random.Random(0)
    write_neighbours(path, counted)
    whole = path.read_bytes()
    for place in range(0, len(whole), 7):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1 << draw.randrange(8)]) + whole[place + 1 :])
        with pytest.raises(UserError, match=r"n\.parquet is damaged"):
            read_neighbours(path)


@pytest.mark.parametrize("content", [b"", b"PAR1", b"x" * 100])
def test_other_files_are_refused(tmp_path, content):
    (tmp_path / "n.parquet").write_bytes(content)
    with pytest.raises(UserError, match=r"n\.parquet is damaged"):
        read_neighbours(tmp_path / "n.parquet")


def test_a_missing_file_a_folder_and_a_pipe(tmp_path):
    with pytest.raises(UserError, match=r"n\.parquet not found"):
        read_neighbours(tmp_path / "n.parquet")
    with pytest.raises(UserError, match="is a folder, not a file"):
        read_neighbours(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UserError, match="is a pipe, not a file"):
        read_neighbours(tmp_path / "pipe")


@pytest.mark.parametrize(
    ("rows", "header", "fault"),
    [
        ([(4, 1, 1.0)], {}, r"an item outside 1\.\.3"),
        ([(1, 0, 1.0)], {}, r"an item outside 1\.\.3"),
        ([(2, 1, 1.0), (1, 2, 1.0)], {}, "items out of order"),
        ([(1, 2, -1.0)], {}, "an invalid weight"),
        ([(1, 2, float("nan"))], {}, "an invalid weight"),
        ([(1, 2, 3.0), (1, 3, 2.0), (1, 1, 1.0)], {}, "more than 2 neighbours"),
        ([], {"neighbours": 0}, "neighbours must be at least 1"),
        ([], {"version": 2}, "version must be at most 1"),
        ([], {"items": -1}, "items must be at least 0"),
    ],
)
def test_sealed_nonsense_is_refused(tmp_path, rows, header, fault):
    whole = canonical_json({"items": 3, "neighbours": 2, "made_of": {}, "version": 1} | header)
    columns = [list(column) for column in zip(*rows, strict=True)] or [[], [], []]
    write_sealed(pa.table(columns, schema=SCHEMA.with_metadata({b"ltrec.neighbours": whole})), tmp_path / "n.parquet")
    with pytest.raises(UserError, match=fault):
        read_neighbours(tmp_path / "n.parquet")


def test_other_parquet_readers_can_read_it(counted, tmp_path):
    write_neighbours(tmp_path / "n.parquet", counted)
    rows = pq.read_table(tmp_path / "n.parquet").to_pylist()
    assert rows[0].keys() == {"item", "neighbour", "weight"}
    assert len(rows) == int((counted.item_VN > 0).sum())


def test_nothing_half_written(counted, tmp_path, monkeypatch):
    path = tmp_path / "n.parquet"
    write_neighbours(path, counted)
    before = path.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("ltrec.data.neighbours.file.write_sealed", full)
    with pytest.raises(OSError, match="No space left"):
        write_neighbours(path, counted)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
