"""A data set that was appended to equals a full prepare of all events that takes ids and thresholds from its parent."""

from __future__ import annotations

import errno
import os
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ltrec.core.errors import UserError
from ltrec.core.world import World
from ltrec.data.forget.pipeline import forget
from ltrec.data.manifest import Manifest
from ltrec.data.prepare.append.pipeline import append
from ltrec.data.prepare.append.rows import ParentUsers
from ltrec.data.prepare.pipeline import prepare
from ltrec.data.stream.config import StreamConfig
from ltrec.data.stream.loader import StreamLoader
from ltrec.data.stream.order.plan import Plan
from ltrec.data.verify.dataset import verify
from tests.support.appended import config_of, content, day_of, make_grown, refuse_other_counts, rows_of, two_days
from tests.support.logs import write_csv

OF_APPEND = {"reach", "late"}
"""What a grown data set does not have, or has more."""


@pytest.fixture(scope="module")
def grown(tmp_path_factory):
    return make_grown(tmp_path_factory.mktemp("grown"))


def refuse_difference(made):
    """Compare `grown` with `full`: every row, the vocabulary, strata, counts, and the bytes of plain shards."""
    mine, full = made.manifest("grown"), made.manifest("full")
    pairs = list(zip(rows_of(made.grown), rows_of(made.full), strict=True))
    assert pairs and all(one.equals(other) for one, other in pairs)
    refuse_other_counts(mine, full, OF_APPEND)
    for one, other in zip(mine.shards, full.shards, strict=True):
        assert replace(one, path="", sha256="", bytes=0, layers=()) == replace(other, path="", sha256="", bytes=0)
        assert one.layers or one == other
    verify(made.grown)


def test_every_row_and_count_equals_a_full_prepare(grown):
    refuse_difference(grown)
    shards, parent = grown.manifest("grown").shards, {shard.path for shard in grown.manifest("parent").shards}
    assert any(shard.layers for shard in shards), "no shard takes rows from several files"
    assert any(not shard.layers and shard.path not in parent for shard in shards), "none was written anew"


@pytest.mark.parametrize(
    "options",
    [
        {"history_cap": 5},
        {"held_out_users": 0.3},
        {"ties": "hash"},
        {"duplicates": "keep", "block_rows": 3, "shard_events": 60},
        {"strata_bounds": (1, 4, 9)},
        {"recut": True},
        {"recut": True, "held_out_users": 0.2, "strata": 3},
    ],
    ids=str,
)
def test_it_equals_under_every_option(tmp_path, options):
    refuse_difference(make_grown(tmp_path, **options))


def test_thresholds_are_cut_anew_by_choice(tmp_path):
    first, second = two_days()
    made = make_grown(tmp_path, (first, [*second, *day_of(1, range(200), 900, 40, seed=5)]), recut=True)
    refuse_difference(made)
    before, after = (made.manifest(name).strata for name in ("parent", "grown"))
    assert before.lower_bounds != after.lower_bounds and before.head_from != after.head_from
    assert made.manifest("grown").lineage[-1]["recut"]
    with pytest.raises(UserError, match="was made with --recut; use --overwrite"):
        append(config_of(made.folder / "day-1.csv"), made.parent, made.grown)


def test_the_reach_of_targets_is_measured_by_choice(grown, tmp_path):
    found = append(config_of(grown.folder / "day-1.csv"), grown.parent, tmp_path / "out", reach=True)
    full = grown.manifest("full").summary["reach"]
    assert found.summary["reach"] == full, "it differs from that of a full prepare"
    assert sum(map(sum, full["valid"])) > 50 and "reach" not in grown.manifest("grown").summary
    assert verify(tmp_path / "out") == found
    with pytest.raises(UserError, match="was made with --reach; use --overwrite"):
        append(config_of(grown.folder / "day-1.csv"), grown.parent, tmp_path / "out")


def test_a_day_comes_after_users_were_forgotten(tmp_path):
    made = make_grown(tmp_path, full=False)
    ids = pa.array(["u30", "u31", "u5"])
    forget(made.parent, ids)
    append(config_of(made.folder / "day-1.csv"), made.parent, tmp_path / "after")
    found = verify(tmp_path / "after")
    before, after = strata_of_users(made.grown), strata_of_users(tmp_path / "after")
    assert before.keys() - after.keys() == {"u30", "u31"}, "u5 has events on the day"
    assert found.summary["users"] == made.manifest("grown").summary["users"] - 2
    assert [step["items"] for step in found.lineage] == [made.manifest("parent").vocab.items] * 2


def test_a_shard_without_the_days_users_is_kept_as_it_is(tmp_path):
    first, _ = two_days()
    made = make_grown(tmp_path, (first, [("u0", "i0", first[0][2] + 10**6)]))
    refuse_difference(made)
    before, after = (made.manifest(name).shards for name in ("parent", "grown"))
    kept = [shard for shard in after if shard in before]
    assert kept and len(kept) < len(after)
    for shard in kept:
        assert (made.grown / shard.path).samefile(made.parent / shard.path), "it takes space twice"


def test_users_of_the_parent_are_in_the_order_of_their_keys_whatever_that_of_the_shards(tmp_path):
    made = make_grown(tmp_path, full=False, block_rows=3, shard_events=60)
    manifest = made.manifest("parent")
    one, other = (ParentUsers(made.parent, replace(manifest, shards=shards)) for shards in (manifest.shards, manifest.shards[::-1]))
    for part, users in one.parts.items():
        assert np.array_equal(users.key_R, other.parts[part].key_R) and (np.diff(users.key_R) > 0).all()
        found = np.isin(users.key_R, keys := np.append(users.key_R[1::3], 5))
        assert np.array_equal(other.parts[part].among(np.sort(keys)), found) and not users.among(keys[:0]).any()
    assert len({shard.path for shard in manifest.shards}) > 2 * len(one.parts)


def test_without_hard_links_files_are_copied(grown, tmp_path, monkeypatch):
    def link(*_):
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", link)
    append(config_of(grown.folder / "day-1.csv"), grown.parent, tmp_path / "grown")
    assert content(tmp_path / "grown") == content(grown.grown)
    assert not any(path.stat().st_nlink > 1 for path in (tmp_path / "grown").rglob("*.parquet"))


def test_day_after_day_equals_and_stays_in_few_files(tmp_path):
    logs = [write_csv(tmp_path / "day-0.csv", day_of(0, range(200), 1500, 40))]
    prepare(config_of(*logs), parent := tmp_path / "after-0")
    for number in (1, 2, 3):
        users = [*range(number, 200, 29), 300 + number]
        logs.append(write_csv(tmp_path / f"day-{number}.csv", day_of(number, users, 30, 42 + number)))
        append(config_of(logs[-1]), parent, out := tmp_path / f"after-{number}")
        prepare(config_of(*logs), full := tmp_path / f"full-{number}", like=parent)
        assert all(one.equals(other) for one, other in zip(rows_of(out), rows_of(full), strict=True))
        parent = out
    manifest = verify(parent)
    assert len(manifest.lineage) == 3 and [step["files"] for step in manifest.lineage] == [1, 2, 3]
    assert max(len(shard.layers) for shard in manifest.shards) >= 3, "no file of an earlier day is still in use"
    assert len(manifest.source["files"]) == 4


@pytest.mark.parametrize("config", [{}, {"resident_mib": 0, "buffer_blocks": 1}, {"composition": "quota"}], ids=str)
def test_training_sees_the_same_batches(tmp_path_factory, config):
    made = make_grown(tmp_path_factory.mktemp("small"), block_rows=4)
    stream = StreamConfig(**{"batch_rows": 20, "lanes": 4, "max_len": 5, "window": "random", **config})
    seen = []
    for name in ("grown", "full"):
        manifest = made.manifest(name)
        loader = StreamLoader(made.folder / name, manifest, Plan.of(manifest, 3, stream), world=World())
        items = []
        for _ in range(2):
            for batch in loader:
                items.append(np.concatenate([batch.items_T.numpy(), batch.targets_T.numpy(), batch.user_key_B.numpy()]))
                loader.advance(batch.step)
        seen.append((loader.state_dict()["data_digest"], items))
    assert len(seen[0][1]) > 6
    assert seen[0][0] == seen[1][0]
    assert all(np.array_equal(one, other) for one, other in zip(seen[0][1], seen[1][1], strict=True))


def test_ids_of_the_parent_never_move_and_thresholds_stay(grown):
    before, after = (rows_of_vocabulary(grown, name) for name in ("parent", "grown"))
    assert after[: len(before)] == before and len(after) > len(before)
    parent, mine = grown.manifest("parent"), grown.manifest("grown")
    assert (mine.strata.lower_bounds, mine.strata.head_from) == (parent.strata.lower_bounds, parent.strata.head_from)
    assert mine.digest != parent.digest


def test_the_lineage_says_what_the_day_changed(grown):
    (step,) = grown.manifest("grown").lineage
    day = two_days()[1]
    rows = {name: strata_of_users(grown.folder / name) for name in ("parent", "grown")}
    users = {user for user, _, _ in day}
    known = users & rows["parent"].keys()
    assert step == {
        "digest": grown.manifest("parent").digest,
        "items": grown.manifest("parent").vocab.items,
        "files": 1,
        "events": len(set(day)),
        "users": len(users),
        "new_users": len(users - known),
        "new_items": grown.manifest("grown").vocab.items - grown.manifest("parent").vocab.items,
        "crossed": sum(rows["parent"][user] != rows["grown"][user] for user in known),
        "late": 0,
        "known": 0,
    }
    assert step["crossed"] and step["new_users"]


def test_the_same_append_again_does_nothing_and_a_damaged_one_is_mended(grown, tmp_path):
    out, heard = tmp_path / "again", []
    config = config_of(grown.folder / "day-1.csv")
    append(config, grown.parent, out)
    before = content(out)
    assert before == content(grown.grown), "bytes depend on more than the data"
    append(config, grown.parent, out, lambda stage, *_: heard.append(stage))
    assert heard[-1] == "unchanged" and "sort" not in heard
    (out / Manifest.load(out).vocab.path).unlink()
    append(config, grown.parent, out, lambda stage, *_: heard.append(stage))
    assert "mend" in heard and content(out) == before


def rows_of_vocabulary(made, name):
    return pq.read_table(made.folder / name / made.manifest(name).vocab.path)["item_id"].to_pylist()


def strata_of_users(folder):
    return {row["user_id"]: row["stratum"] for table in rows_of(folder) for row in table.to_pylist()}
