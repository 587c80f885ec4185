"""The manifest: round trip, and every single flipped byte is found."""

import pytest

from ltrec.core.errors import UserError
from ltrec.core.strata import Strata
from ltrec.data.manifest import MANIFEST, Manifest, Shard, Vocab


def example():
    return Manifest(
        name="tiny",
        created_by={"ltrec": "0"},
        source={"files": []},
        options={"k": 5},
        split={"kind": "leave_one_out"},
        summary={"users": 3},
        strata=Strata((1, 4), (2, 1), (3, 5), 4),
        vocab=Vocab("vocab/items.parquet", 7, 100, "00"),
        block_rows=8,
        shards=(
            Shard("stratum=0/part-0.parquet", 0, True, 10, "ab", 2, 6),
            Shard("stratum=0/rest-0.parquet", 0, False, 9, "cd", 1, 1),
        ),
    )


def test_round_trip(tmp_path):
    example().save(tmp_path)
    loaded = Manifest.load(tmp_path)
    assert loaded == example()
    assert loaded.digest == example().digest
    assert loaded.train_rows == 2


def test_every_flipped_byte_is_found(tmp_path):
    example().save(tmp_path)
    good = (tmp_path / MANIFEST).read_bytes()
    for i in range(len(good)):
        (tmp_path / MANIFEST).write_bytes(good[:i] + bytes([good[i] ^ 4]) + good[i + 1 :])
        with pytest.raises(UserError, match="damaged"):
            Manifest.load(tmp_path)


def test_missing_says_how_to_make_one(tmp_path):
    with pytest.raises(UserError, match="ltrec prepare"):
        Manifest.load(tmp_path)
