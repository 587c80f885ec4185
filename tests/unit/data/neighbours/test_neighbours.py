"""Counting neighbours: equal to loops over float64, from training events only, the same however it is cut."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ltrec.core.errors import UserError
from ltrec.data.neighbours.config import CoOccurrenceConfig, NeighboursConfig
from ltrec.data.neighbours.count import count_neighbours
from tests.support.naive_neighbours import transitions
from tests.support.shards import User, leave_one_out, random_users, write_dataset

V = 15


@pytest.fixture(scope="module")
def users():
    """Two strata with ties of up to three events, short users, and users kept out of training."""
    draw = np.random.default_rng(3)
    found = random_users([25, 31], num_items=V, longest=14)
    times = [np.sort(draw.integers(0, len(user.items) // 2 + 1, len(user.items))).tolist() for user in found]
    found = [User(u.name, u.items, u.stratum, u.train_events, u.valid_at, u.test_at, t) for u, t in zip(found, times, strict=True)]
    found += [leave_one_out(100 + i, [1 + i, 2 + i][: 1 + i % 2], 0) for i in range(6)]
    return found + [User(f"u{200 + i}", list(range(1, 6 + i)), -1, 0, -1, 2 + i) for i in range(4)]


def naive(users, config, num_items=V):
    """The weighed matrix of the users' training events."""
    histories = [list(zip(u.items, u.times or range(len(u.items)), strict=True))[: u.train_events] for u in users]
    return transitions(histories, num_items, config)


def assert_strongest(found, M_VV, n):
    """Every row holds the n largest weights, falling, equal ones by id."""
    for i in range(len(M_VV)):
        weights = found.weight_VN[i].tolist()
        ids = found.item_VN[i].tolist()
        best = sorted((-M_VV[i]).tolist())[:n]
        assert weights[: len(best)] == pytest.approx([max(0.0, -w) for w in best], rel=1e-5, abs=1e-6)
        assert [w > 0 for w in weights] == [j > 0 for j in ids]
        for j, weight in zip(ids, weights, strict=True):
            assert weight == pytest.approx(M_VV[i, j] if j else 0, rel=1e-5)
        pairs = [(-w, j) for j, w in zip(ids, weights, strict=True) if j]
        assert pairs == sorted(pairs)


@pytest.mark.parametrize(
    "config",
    [
        NeighboursConfig(),
        NeighboursConfig(neighbours=3, max_gap=2),
        NeighboursConfig(neighbours=40, backward_share=0, row_power=1, column_power=0),
        NeighboursConfig(neighbours=5, gap_decay=1, column_power=1, row_power=0),
        NeighboursConfig(ridge=3),
        NeighboursConfig(ridge=20, sources=4, neighbours=3, backward_share=0.25),
        NeighboursConfig(ridge=50, sources=11, neighbours=40, backward_share=0, column_power=0, max_gap=3),
    ],
)
def test_the_strongest_of_the_naive_matrix(users, tmp_path, config):
    manifest = write_dataset(tmp_path, users, num_items=V)
    found = count_neighbours(tmp_path, manifest, config)
    assert (found.item_VN.dtype, found.weight_VN.dtype) == (torch.int32, torch.float32)
    assert found.item_VN.shape == found.weight_VN.shape == (V + 1, config.neighbours)
    assert not found.item_VN[0].any()
    assert_strongest(found, naive(users, config), config.neighbours)


def test_files_and_blocks_do_not_change_the_result(users, tmp_path):
    found = []
    for block_rows, shard_rows in ((4, 30), (1, 2), (100, 100)):
        folder = tmp_path / f"{block_rows}"
        manifest = write_dataset(folder, users[::-1], num_items=V, block_rows=block_rows, shard_rows=shard_rows)
        found.append(count_neighbours(folder, manifest))
    assert all(torch.equal(one.item_VN, found[0].item_VN) and torch.equal(one.weight_VN, found[0].weight_VN) for one in found)


@pytest.mark.parametrize("rows", [2, 30, 200, 10**6])
@pytest.mark.parametrize("config", [NeighboursConfig(), CoOccurrenceConfig(), NeighboursConfig(ridge=10, sources=6)])
def test_memory_does_not_change_the_result(users, tmp_path, rows, config, monkeypatch):
    """Also with portions of single users, and with runs that are read a few pairs at a time."""
    manifest = write_dataset(tmp_path, users, num_items=V)
    whole = count_neighbours(tmp_path, manifest, config)
    monkeypatch.setattr("ltrec.data.neighbours.events._PORTION", 5)
    monkeypatch.setattr("ltrec.data.neighbours.sums.RUN_PAGE", 7)
    (tmp_path / "spill").mkdir()
    assert count_neighbours(tmp_path, manifest, config, rows=rows, spill=tmp_path / "spill").digest == whole.digest
    assert list((tmp_path / "spill").iterdir()) == []


def test_targets_and_users_kept_out_of_training_are_not_counted(tmp_path):
    users = [User("u1", [1, 2, 3, 4], 0, 2, 2, 3), User("u2", [5, 6], 0, 2, -1, -1), User("u3", [7, 8], -1, 0, -1, 1)]
    found = count_neighbours(tmp_path, write_dataset(tmp_path, users, num_items=9))
    assert found.item_VN[:, 0].tolist() == [0, 2, 1, 0, 0, 6, 5, 0, 0, 0]
    assert not found.item_VN[:, 1:].any()


def test_equal_weights_are_ordered_by_item(tmp_path):
    users = [User(f"u{i}", [1, j], 0, 2, -1, -1) for i, j in enumerate([5, 3, 9, 7])]
    found = count_neighbours(tmp_path, write_dataset(tmp_path, users, num_items=9), NeighboursConfig(neighbours=3))
    assert found.item_VN[1].tolist() == [3, 5, 7]


@pytest.mark.parametrize("config", [CoOccurrenceConfig(), CoOccurrenceConfig(last=3, neighbours=4)])
def test_common_users_by_cosine(users, tmp_path, config):
    manifest = write_dataset(tmp_path, users, num_items=V)
    owned_UV = np.zeros((len(users), V + 1))
    for u, user in enumerate(users):
        owned_UV[u, user.items[: user.train_events][-config.last :]] = 1
    length_V = np.maximum(np.linalg.norm(owned_UV, axis=0), 1e-9)
    cosine_VV = owned_UV.T @ owned_UV / length_V / length_V[:, None]
    np.fill_diagonal(cosine_VV, 0)
    assert_strongest(count_neighbours(tmp_path, manifest, config), cosine_VV, config.neighbours)


def test_a_damaged_shard_is_refused(users, tmp_path):
    manifest = write_dataset(tmp_path, users, num_items=V)
    path = next(tmp_path / s.path for s in manifest.shards if s.trainable)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match="is damaged"):
        count_neighbours(tmp_path, manifest)


def test_progress_ends_at_the_number_of_blocks(users, tmp_path):
    heard = []
    count_neighbours(tmp_path, write_dataset(tmp_path, users, num_items=V), on_progress=lambda *it: heard.append(it))
    blocks = heard[-1][1]
    assert blocks > 9
    assert heard == [(i, blocks) for i in range(1, blocks + 1)]
