"""Footers of shards: those of few row groups stay in memory, others are read again, and no file is hashed twice for that."""

from __future__ import annotations

from ltrec.core import columns as c
from ltrec.data.remote import shard_files
from ltrec.data.stream.reading import shards
from ltrec.data.stream.reading.shards import ShardReader
from tests.support.shards import random_users, write_dataset


def test_footers_are_kept_by_their_row_groups(tmp_path, monkeypatch):
    manifest = write_dataset(tmp_path, random_users([40]), block_rows=4, shard_rows=8)
    hashed = []
    monkeypatch.setattr(shard_files, "check_hash", lambda path, _: hashed.append(path.name))
    monkeypatch.setattr(shards, "_GROUPS_KEPT", 6)
    reader = ShardReader(tmp_path, manifest)
    for _ in range(2):
        read = [reader.read(shard, group, [c.ITEMS]).num_rows for shard in range(5) for group in range(2)]
        assert read == [4] * 10
        assert [footer.num_row_groups for footer in reader._footers.values()] == [2, 2]
    assert sorted(hashed) == [shard.path.split("/")[1] for shard in manifest.shards]
