"""Histories and vocabulary: every user once, in file order, in chunks that depend on nothing; equal to plain list slicing."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch

from ltrec.core.errors import UserError
from ltrec.data.stream.reading.histories import SplitHistories
from ltrec.data.stream.reading.vocabulary import Vocabulary
from tests.support.shards import User, leave_one_out, random_users, write_dataset


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    """Trainable users of two strata, short ones, users kept out of training, and cold targets."""
    folder = tmp_path_factory.mktemp("mixed")
    users = random_users([25, 41])
    users += [leave_one_out(100 + i, [1 + i, 2 + i][: 1 + i % 2], 0) for i in range(7)]
    users += [User(f"u{200 + i}", list(range(1, 4 + i)), -1, 0, -1, 2 + i) for i in range(6)]
    users += [User(f"u{300 + i}", [9 + i, 8], -1, 0, 0, i % 2) for i in range(5)]
    manifest = write_dataset(folder, users, block_rows=4, shard_rows=15)
    by_file = [u for s in manifest.shards for u in _users_of(s, users)]
    return folder, manifest, by_file


def _users_of(shard, users):
    mine = [u for u in users if u.stratum == shard.stratum and (u.train_events >= 2) == shard.trainable]
    first = int(shard.path[-13:-8]) * 15
    return mine[first : first + shard.rows]


def at_of(user, split):
    return {"valid": user.valid_at, "test": user.test_at, "all": len(user.items)}[split]


def runs(values, offsets):
    bounds = offsets.tolist()
    return [values[a:b].tolist() for a, b in pairwise(bounds)]


@pytest.mark.parametrize("split", ["valid", "test", "all"])
@pytest.mark.parametrize(("max_len", "chunk_rows"), [(5, 7), (50, 1), (1, 1000), (3, 4)])
def test_chunks_equal_plain_slicing(mixed, split, max_len, chunk_rows):
    folder, manifest, users = mixed
    histories = SplitHistories(folder, manifest, split, max_len, chunk_rows)
    warm = [u for u in users if at_of(u, split) > 0]
    assert histories.num_rows == len(warm) > 0
    assert len(histories) == -(-len(warm) // chunk_rows)
    for index in range(len(histories)):
        chunk = histories.chunk(index)
        expected = warm[index * chunk_rows : (index + 1) * chunk_rows]
        assert chunk.index == index
        assert chunk.user_id == [u.name for u in expected]
        assert chunk.batch.user_key_B.tolist() == [u.key for u in expected]
        assert chunk.stratum_B.tolist() == [u.stratum for u in expected]
        assert chunk.batch.stratum_B.tolist() == [min(at_of(u, split), 2) - 1 for u in expected], "bounds are 1 and 2"
        assert chunk.activity_B.tolist() == [u.train_events for u in expected]
        assert chunk.history_length_B.tolist() == [at_of(u, split) for u in expected]
        assert chunk.target_B.tolist() == [0 if split == "all" else u.items[at_of(u, split)] for u in expected]
        assert runs(chunk.seen_T, chunk.seen_offsets) == [u.items[: at_of(u, split)] for u in expected]
        assert runs(chunk.batch.items_T, chunk.batch.offsets) == [u.items[: at_of(u, split)][-max_len:] for u in expected]
        tensors = (chunk.batch.items_T, chunk.seen_T, chunk.target_B, chunk.batch.stratum_B)
        assert all(t.dtype == torch.int64 for t in tensors)


def test_cold_users_come_in_chunks_of_their_own(mixed):
    folder, manifest, users = mixed
    for split, expected in [("valid", 5), ("test", 3), ("all", 0)]:
        histories = SplitHistories(folder, manifest, split, 5, 2)
        cold = [u for u in users if at_of(u, split) == 0]
        assert histories.num_cold_rows == len(cold) == expected
        chunks = [histories.cold_chunk(i) for i in range(histories.num_cold_chunks)]
        assert [name for chunk in chunks for name in chunk.user_id] == [u.name for u in cold]
        assert [t for chunk in chunks for t in chunk.target_B.tolist()] == [u.items[0] for u in cold]
        assert all(chunk.batch.items_T.numel() == chunk.seen_T.numel() == 0 for chunk in chunks)
        assert all(chunk.batch.lengths_B.tolist() == [0] * len(chunk.user_id) for chunk in chunks)
        with pytest.raises(IndexError):
            histories.cold_chunk(histories.num_cold_chunks)


def test_chunks_can_be_read_in_any_order(mixed):
    folder, manifest, _ = mixed
    forward, backward = (SplitHistories(folder, manifest, "test", 5, 7) for _ in range(2))
    names = [forward.chunk(i).user_id for i in range(len(forward))]
    assert [backward.chunk(i).user_id for i in reversed(range(len(backward)))] == names[::-1]
    with pytest.raises(IndexError):
        forward.chunk(len(forward))
    with pytest.raises(IndexError):
        forward.chunk(-1)


def test_unknown_split_is_refused(mixed):
    folder, manifest, _ = mixed
    with pytest.raises(UserError, match=r"split 'tset' is not one of valid, test, all .did you mean 'test'"):
        SplitHistories(folder, manifest, "tset", 5)
    with pytest.raises(UserError, match="chunk_rows=0"):
        SplitHistories(folder, manifest, "test", 5, 0)


def test_vocabulary(mixed):
    folder, manifest, _ = mixed
    vocabulary = Vocabulary.load(folder, manifest)
    assert vocabulary.item_id[:3] == ["", "i1", "i2"] and len(vocabulary.item_id) == 51
    assert vocabulary.train_count.tolist() == [0, *range(49, -1, -1)]
    assert vocabulary.train_count.dtype == torch.int64
