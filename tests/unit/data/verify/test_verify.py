"""Whatever is done to a prepared data set, verify says so and names the file."""

from __future__ import annotations

import hashlib
import json
import random
import shutil
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ltrec.core.errors import UserError
from ltrec.core.storage.canonical import canonical_json
from ltrec.data.manifest import Manifest, digest_of
from ltrec.data.schema import SHARD_SCHEMA
from ltrec.data.verify.dataset import verify
from tests.support.logs import START, prepared, some_events

OPTIONS = {"block_rows": 4, "held_out_users": 0.2, "reject_budget": 0.1}


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    prepared(folder, [*some_events(40), (None, "i", START)], **OPTIONS)
    return folder / "out"


@pytest.fixture
def data(original, tmp_path):
    return shutil.copytree(original, tmp_path / "out")


def files(folder):
    return sorted(p for p in folder.rglob("*") if p.is_file())


def test_an_intact_data_set_passes(data):
    assert verify(data) == Manifest.load(data)


def test_every_flipped_byte_is_found_in_every_file(data):
    generator = random.Random(0)
    for path in files(data):
        content = path.read_bytes()
        positions = {0, len(content) - 1, *generator.sample(range(len(content)), min(len(content), 25))}
        for position in positions:
            broken = bytearray(content)
            broken[position] ^= 1 << generator.randrange(8)
            path.write_bytes(broken)
            with pytest.raises(UserError, match=path.name):
                verify(data)
        path.write_bytes(content)
    verify(data)


def test_truncated_longer_and_missing_files(data):
    for path in files(data):
        content = path.read_bytes()
        for other in (content[:-1], content[: len(content) // 2], b"", content + b"\n"):
            path.write_bytes(other)
            with pytest.raises(UserError, match=path.name):
                verify(data)
        path.unlink()
        with pytest.raises(UserError, match=path.name):
            verify(data)
        path.write_bytes(content)
    verify(data)


def test_a_file_too_many(data):
    stranger = data / "stratum=0" / "part-99999-0.parquet"
    shutil.copy(next(p for p in files(data) if p.name.startswith("rest")), stranger)
    with pytest.raises(UserError, match=r"part-99999-0\.parquet is not in the manifest"):
        verify(data)


def test_no_data_set_at_all(tmp_path):
    with pytest.raises(UserError, match="is not a prepared data set"):
        verify(tmp_path)


def test_a_manifest_that_points_elsewhere(data):
    body = json.loads((data / "manifest.json").read_text())
    body["shards"][0]["path"] = "../x.parquet"
    body["digest"] = digest_of({key: value for key, value in body.items() if key != "digest"})
    (data / "manifest.json").write_text(canonical_json(body))
    with pytest.raises(UserError, match=r"is undamaged but invalid: '../x.parquet' is not a file inside the data set's folder"):
        verify(data)


def rewrite(data, change, only=lambda shard: shard.trainable, **options):
    """Change the rows of the first shard that fits, as a buggy writer would: with right hashes and counts all the way up."""
    manifest = Manifest.load(data)
    number, shard = next((n, s) for n, s in enumerate(manifest.shards) if only(s))
    path = data / shard.path
    rows = change(pq.ParquetFile(path).read().to_pylist())
    settings = {"row_group_size": manifest.block_rows, "use_dictionary": False, "write_page_checksum": True, **options}
    pq.write_table(pa.Table.from_pylist(rows, SHARD_SCHEMA), path, **settings)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    new = replace(shard, sha256=digest, bytes=path.stat().st_size, rows=len(rows), events=sum(len(r["items"]) for r in rows))
    summary = {**manifest.summary, "users": manifest.summary["users"] + new.rows - shard.rows}
    summary["events"] += new.events - shard.events
    replace(manifest, shards=(*manifest.shards[:number], new, *manifest.shards[number + 1 :]), summary=summary).save(data)


def with_row(index=0, **values):
    return lambda rows: [{**row, **values} if n == index else row for n, row in enumerate(rows)]


def with_first_row(change):
    return lambda rows: [change(dict(rows[0])), *rows[1:]]


def raise_first_time(row):
    return {**row, "times": [row["times"][-1] + 1, *row["times"][1:]]}


def another_item(row):
    return {**row, "items": [row["items"][0] % 7 + 1, *row["items"][1:]]}


FAULTS = {
    "an item id outside of the vocabulary": (
        with_first_row(lambda r: {**r, "items": [0, *r["items"][1:]]}),
        "outside the vocabulary",
    ),
    "an item id too large": (with_first_row(lambda r: {**r, "items": [99, *r["items"][1:]]}), "outside the vocabulary"),
    "unsorted times": (with_first_row(raise_first_time), "decreasing times within a user"),
    "one list shorter": (with_first_row(lambda r: {**r, "times": r["times"][1:]}), "differ in length"),
    "an empty row": (with_first_row(lambda r: {**r, "items": [], "times": []}), "a user without events"),
    "wrong stratum": (with_row(stratum=3), "stratum"),
    "wrong activity": (with_first_row(lambda r: {**r, "activity": r["activity"] + 1}), "activity|stratum"),
    "another key": (with_row(user_key=-(2**63)), "not the hash of their user id"),
    "another id": (with_row(user_id="somebody"), "not the hash of their user id"),
    "a user twice": (lambda rows: [*rows[:1], *rows], "not ordered by their key"),
    "users out of order": (lambda rows: [rows[1], rows[0], *rows[2:]], "not ordered by their key"),
    "a validation target that is trained on": (with_first_row(lambda r: {**r, "valid_at": r["valid_at"] - 1}), "validation target"),
    "no test target": (with_row(test_at=-1), "test target"),
    "training up to the test target": (with_first_row(lambda r: {**r, "train_events": r["train_events"] + 1}), "training|activity"),
    "another item": (with_first_row(another_item), r"items-\w+\.parquet: item \d+ has \d+ training events"),
    "a user left out": (lambda rows: rows[1:], "manifest.json says (trainable )?users"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_consistent_lie_is_found_in_the_rows(data, fault):
    change, message = FAULTS[fault]
    rewrite(data, change)
    with pytest.raises(UserError, match=message):
        verify(data)


def test_a_user_in_two_strata_is_found(data):
    (row,) = [r for s in Manifest.load(data).shards if s.stratum == 1 for r in pq.ParquetFile(data / s.path).read().to_pylist()][:1]
    low = {
        **row,
        "items": row["items"][:3],
        "times": row["times"][:3],
        "activity": 1,
        "train_events": 1,
        "valid_at": 1,
        "test_at": 2,
    }
    rewrite(
        data,
        lambda rows: sorted([*rows, {**low, "stratum": 0}], key=lambda r: r["user_key"]),
        lambda shard: shard.stratum == 0 and not shard.trainable,
    )
    with pytest.raises(UserError, match="1 users occur twice"):
        verify(data)


def test_row_groups_of_another_size(data):
    rewrite(data, lambda rows: rows, row_group_size=3)
    with pytest.raises(UserError, match="row groups of"):
        verify(data)


def test_another_schema(data):
    manifest = Manifest.load(data)
    path = data / manifest.shards[0].path
    pq.write_table(pq.ParquetFile(path).read().drop_columns(["times"]), path)
    entry = replace(manifest.shards[0], sha256=hashlib.sha256(path.read_bytes()).hexdigest(), bytes=path.stat().st_size)
    replace(manifest, shards=(entry, *manifest.shards[1:])).save(data)
    with pytest.raises(UserError, match="another schema"):
        verify(data)


def test_global_time_targets_must_lie_at_the_cuts(tmp_path):
    prepared(tmp_path, some_events(40), split="global_time", valid_from=str(START + 998), test_from=str(START + 1000))
    verify(tmp_path / "out")
    manifest = Manifest.load(tmp_path / "out")
    shifted = {**manifest.split, "valid_time": manifest.split["valid_time"] + 1}
    replace(manifest, split=shifted).save(tmp_path / "out")
    with pytest.raises(UserError, match="at the cut"):
        verify(tmp_path / "out")


def test_manifest_text_is_canonical(data):
    path = data / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text())))
    with pytest.raises(UserError, match="damaged"):
        verify(data)
