"""Forgetting users: the data set equals one that never had them, is proven to be without them, and nothing else moves."""

from __future__ import annotations

import shutil
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ltrec.columns.kinds.categories import CategoriesConfig
from ltrec.columns.kinds.category import CategoryConfig
from ltrec.columns.kinds.number import NumberConfig
from ltrec.core.errors import UserError
from ltrec.core.storage.atomic import sha256_file
from ltrec.data.forget.pipeline import forget
from ltrec.data.manifest import Manifest
from ltrec.data.prepare.config import PrepareConfig
from ltrec.data.prepare.pipeline import prepare
from ltrec.data.prepare.table_config import ItemsConfig, UsersConfig
from ltrec.data.stream.reading.shards import ShardReader
from ltrec.data.verify.dataset import verify
from ltrec.data.verify.forgotten import check_forgotten, key_of
from tests.support.appended import config_of, content, make_grown, rows_of
from tests.support.logs import START, prepared, write_csv

GONE = ["u3", "u17", "u44", "u199"]
KEPT_AS_THEY_WERE = {"reach", "rows", "ties", "length_quantiles", "first_time", "last_time", "notes", "rejects", "rejected"}
"""What is known of the whole log."""


def some_log(users=120, seed=0):
    """Every user has events on a few of the same items, so that no item is lost with a user."""
    draw = np.random.default_rng(seed)
    lengths = draw.integers(2, 14, users)
    return [
        (f"u{u}", f"i{i}", START + int(t))
        for u in range(users)
        for i, t in zip(draw.integers(0, 25, lengths[u]), draw.integers(0, 9000, lengths[u]), strict=True)
    ]


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    folder = tmp_path_factory.mktemp("original")
    log = write_csv(folder / "log.csv", some_log())
    prepare(config_of(log), folder / "data")
    return folder


@pytest.fixture
def data(original, tmp_path):
    return shutil.copytree(original / "data", tmp_path / "data")


def ids(*names):
    return pa.array(names, pa.string())


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"history_cap": 6},
        {"held_out_users": 0.3},
        {"split": "global_time", "valid_from": str(START + 5000), "test_from": str(START + 7000)},
    ],
)
def test_the_rest_is_what_a_prepare_without_these_users_gives(tmp_path, options):
    rows = some_log()
    full = prepare(config_of(write_csv(tmp_path / "log.csv", rows), **options), tmp_path / "data")
    without = write_csv(tmp_path / "rest.csv", [row for row in rows if row[0] not in GONE])
    expected = prepare(config_of(without, **options), tmp_path / "rest", like=tmp_path / "data")
    done = forget(tmp_path / "data", ids(*GONE, "nobody", "u9999"))
    assert (done.users, done.unknown) == (3, 3)  # u199 is not in this log
    assert done.events == full.summary["events"] - expected.summary["events"]
    mine = verify(tmp_path / "data", forgotten=ids(*GONE))
    assert sorted(table_rows(tmp_path / "data")) == sorted(table_rows(tmp_path / "rest"))
    assert (mine.vocab.sha256, mine.vocab.items, mine.strata) == (expected.vocab.sha256, expected.vocab.items, expected.strata)
    ours, theirs = ({k: v for k, v in m.summary.items() if k not in KEPT_AS_THEY_WERE} for m in (mine, expected))
    assert {k: v for k, v in ours.items() if k in theirs and not k.startswith("capped")} == {
        k: v for k, v in theirs.items() if not k.startswith("capped")
    }
    assert (ours["forgotten_users"], ours["forgotten_events"]) == (3, done.events)
    changed = {"forgotten_users": 3, "forgotten_events": done.events}
    assert mine.lineage[-1] == {"digest": full.digest, "items": full.vocab.items, "files": 1, **changed}


def table_rows(folder):
    return [repr(row) for table in rows_of(folder) for row in table.to_pylist()]


def test_shards_without_them_are_the_same_files(data):
    before, inodes = Manifest.load(data), {path: (data / path).stat().st_ino for path in Manifest.load(data).files()}
    victim = pq.read_table(data / before.shards[0].path, partitioning=None)["user_id"][0].as_py()
    done = forget(data, ids(victim))
    after = Manifest.load(data)
    assert after == done.manifest != before
    assert [shard.path for shard in after.shards if shard in before.shards] == [shard.path for shard in before.shards[1:]]
    assert all((data / shard.path).stat().st_ino == inodes[shard.path] for shard in after.shards if shard in before.shards)
    assert not (data / before.shards[0].path).exists(), "its bytes are gone"
    assert not (data / ".preparing").exists()


def test_repeated_it_does_nothing_and_in_two_steps_it_ends_with_the_same_rows(original, data, tmp_path):
    forget(data, ids(*GONE))
    once = content(data)
    again = forget(data, ids(*GONE))
    assert (again.users, again.unknown, again.manifest) == (0, 4, again.before)
    assert content(data) == once
    other = shutil.copytree(original / "data", tmp_path / "other")
    forget(other, ids(*GONE))
    assert content(other) == once, "the same bytes"
    steps = shutil.copytree(original / "data", tmp_path / "steps")
    forget(steps, ids(*GONE[:1]))
    forget(steps, ids(*GONE[1:]))
    assert {k: v for k, v in content(steps).items() if k != "manifest.json"} == {
        k: v for k, v in once.items() if k != "manifest.json"
    }
    assert Manifest.load(steps).summary["forgotten_users"] == 3


def test_a_shard_of_nobody_else_is_dropped(tmp_path):
    rows = [(f"u{u}", f"i{n % 5}", START + n) for u in range(12) for n in range(3 if u < 8 else 9)]
    prepare(config_of(write_csv(tmp_path / "log.csv", rows), block_rows=2, shard_events=9), tmp_path / "data")
    before = Manifest.load(tmp_path / "data")
    shard = before.shards[-1]
    gone = pq.read_table(tmp_path / "data" / shard.path, partitioning=None)["user_id"].to_pylist()
    forget(tmp_path / "data", ids(*gone))
    after = verify(tmp_path / "data", forgotten=ids(*gone))
    assert len(after.shards) == len(before.shards) - 1


def test_verify_finds_a_user_who_is_there(data):
    with pytest.raises(UserError, match=r"stratum=.* has the row of user 'u3'; run ltrec prepare --forget-users again"):
        verify(data, forgotten=ids("nobody", "u3"))
    manifest = Manifest.load(data)
    (data / ".preparing").mkdir()
    with pytest.raises(UserError, match=r"\.preparing is left of an interrupted prepare"):
        check_forgotten(data, manifest, ids("nobody"))


def test_verify_finds_a_user_in_distances_and_in_the_manifest(data):
    manifest = Manifest.load(data)
    reach = pq.read_table(data / manifest.summary["reach"]["path"])
    users = pa.concat_tables([table.select(["user_id", "user_key"]) for table in rows_of(data)])
    (key, name), *_ = (
        (k, n)
        for n, k in zip(*(users[c].to_pylist() for c in ("user_id", "user_key")), strict=True)
        if k in set(reach["user_key"].to_pylist())
    )
    assert key_of(name) == key
    without = manifest.files().keys() - {shard.path for shard in manifest.shards}

    summary = {**manifest.summary, "outsized": [{"kind": "user", "id": "big", "events": 9, "share": 0.1}]}
    no_shards = SimpleNamespace(summary=summary, files=lambda: without)
    with pytest.raises(UserError, match="has the distances of 1 of these users"):
        check_forgotten(data, no_shards, ids(name))
    with pytest.raises(UserError, match="names user 'big' as having implausibly many events"):
        check_forgotten(data, no_shards, ids("big"))


def test_rejects_that_mention_a_user_go_and_their_counts_stay(tmp_path):
    prepared(tmp_path, [*some_log(), ("u5", "i1", "never"), ("x y", "i1", "never")], reject_budget=0.5, time_unit="s")
    data = tmp_path / "out"
    before = Manifest.load(data)
    assert before.summary["rejects_file"] is not None
    assert forget(data, ids("u55555")).manifest is not None and Manifest.load(data) == before
    with pytest.raises(UserError, match="mentions one of these users"):
        verify(data, forgotten=ids("x y"))
    done = forget(data, ids("x y"))
    assert (done.users, done.unknown) == (0, 1)
    after = verify(data, forgotten=ids("x y"))
    assert after.summary["rejects_file"] is None and after.summary["rejected"] == 2
    assert not list(data.glob("_rejects/*"))


def test_an_appended_data_set_loses_superseded_rows_as_well(tmp_path):
    grown = make_grown(tmp_path, full=False)
    manifest = grown.manifest("grown")
    assert manifest.layers
    before, gone = table_rows(grown.grown), ["u3", "u199", "u310"]  # of both days, of the first, of the second
    parent = content(grown.parent)
    done = forget(grown.grown, ids(*gone))
    assert done.users == 3
    verify(grown.grown, forgotten=ids(*gone))
    assert sorted(table_rows(grown.grown)) == sorted(
        row for row in before if not any(f"'user_id': '{name}'" in row for name in gone)
    )
    assert content(grown.parent) == parent, "the data set that it grew from is another one"
    assert [step.get("forgotten_users") for step in done.manifest.lineage] == [None, 3]


def test_a_row_that_no_shard_takes_any_more_goes_with_the_shard_that_has_its_file(tmp_path):
    grown = make_grown(tmp_path, full=False)
    manifest = grown.manifest("grown")
    files = ShardReader(grown.grown, manifest)

    def users_of(number):
        groups = range(-(-manifest.shards[number].rows // manifest.block_rows))
        return {name for group in groups for name in files.read(number, group, ["user_id"])["user_id"].to_pylist()}

    crossed = next(
        name
        for number, shard in enumerate(manifest.shards)
        for layer in shard.layers
        for name in pq.read_table(grown.grown / manifest.layers[layer].path, partitioning=None)["user_id"].to_pylist()
        if not any(name in users_of(other) for other, its in enumerate(manifest.shards) if layer in its.layers)
    )
    before = table_rows(grown.grown)
    assert forget(grown.grown, ids(crossed)).users == 1
    verify(grown.grown, forgotten=ids(crossed))
    assert sorted(table_rows(grown.grown)) == sorted(row for row in before if f"'user_id': '{crossed}'" not in row)


def test_nobody_left_is_an_error_and_changes_nothing(data):
    before = content(data)
    everybody = {name for table in rows_of(data) for name in table["user_id"].to_pylist()}
    with pytest.raises(UserError, match="nobody who can be trained on would be left"):
        forget(data, ids(*sorted(everybody)))
    assert content(data) == before


def test_a_damaged_shard_is_an_error_and_changes_nothing(data):
    manifest = Manifest.load(data)
    path = data / manifest.shards[1].path
    blob = bytearray(path.read_bytes())
    blob[len(blob) // 2] ^= 1
    path.write_bytes(bytes(blob))
    before = content(data)
    with pytest.raises(UserError, match="is damaged"):
        forget(data, ids(*GONE))
    assert content(data) == before


def test_a_cache_gives_up_what_is_no_more_part_of_the_data_set(data, tmp_path):
    before = Manifest.load(data)
    (cache := tmp_path / "cache" / "files").mkdir(parents=True)
    for name in before.files():
        shutil.copy(data / name, cache / sha256_file(data / name))
    (tmp_path / "cache" / "sets" / before.digest).mkdir(parents=True)
    done = forget(data, ids("u3"))
    assert done.evict(tmp_path / "cache") > 0
    assert {path.name for path in cache.iterdir()} == {sha for _, sha in done.manifest.files().values()} & {
        sha for _, sha in before.files().values()
    }
    assert not (tmp_path / "cache" / "sets" / before.digest).exists()


def test_counts_of_columns_are_those_of_the_rest(tmp_path):
    log = [(*event, ("view", "buy", "rare")[n % 11 % 3], n / 2, 1.0) for n, event in enumerate(some_log(40))]
    source = write_csv(tmp_path / "log.csv", log, ("user_id", "item_id", "timestamp", "type", "price", "conf"))
    items = write_csv(tmp_path / "items.csv", [(f"i{n}", f"a b{n % 3}") for n in range(25)], ("item_id", "tags"))
    users = write_csv(tmp_path / "users.csv", [(f"u{n}", f"job{n % 4}") for n in range(40)], ("user_id", "job"))
    config = PrepareConfig(
        sources=(str(source),),
        threads=1,
        block_rows=4,
        event_columns={"type": CategoryConfig(), "price": NumberConfig()},
        weight="conf",
        items=ItemsConfig(source=str(items), columns={"tags": CategoriesConfig(separator=" ")}),
        users=UsersConfig(source=str(users), columns={"job": CategoryConfig()}),
    )
    before = prepare(config, tmp_path / "data")
    only = {row[1] for row in log if row[0] in ("u1", "u2")} - {row[1] for row in log if row[0] not in ("u1", "u2")}
    done = forget(tmp_path / "data", ids("u1", "u2", "u9"))
    after = verify(tmp_path / "data", forgotten=ids("u1", "u2", "u9"))
    assert done.users == 3 and not only
    changed = {new.path for new in after.column_files} - {old.path for old in before.column_files}
    assert {path.split("/")[1].rpartition("-")[0] for path in changed} == {"event-type", "user-job"}
    assert [(old.name, old.size, old.options) for old in before.columns] == [
        (new.name, new.size, new.options) for new in after.columns
    ]


def test_values_of_an_item_that_nobody_trains_on_any_more_count_no_more(tmp_path):
    rows = [*some_log(20), *(("u77", "lonely", START + n) for n in range(4))]
    source = write_csv(tmp_path / "log.csv", rows)
    items = write_csv(tmp_path / "items.csv", [("lonely", "x y"), *((f"i{n}", "x") for n in range(25))], ("item_id", "tags"))
    table = ItemsConfig(source=str(items), columns={"tags": CategoriesConfig(separator=" ")})
    before = prepare(PrepareConfig(sources=(str(source),), threads=1, items=table), tmp_path / "data")
    forget(tmp_path / "data", ids("u77"))
    after = verify(tmp_path / "data", forgotten=ids("u77"))
    assert after.vocab.items == before.vocab.items, "ids never move"
    counts = pq.read_table(tmp_path / "data" / after.columns.of("item")["tags"].file).to_pylist()
    assert {row["value"]: row["count"] for row in counts}["y"] == 0
