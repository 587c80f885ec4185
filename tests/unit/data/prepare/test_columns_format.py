"""Format 2: what a manifest says of columns, what lies beside the shards, and that format 1 is as it was."""

import json
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest

from ltrec.columns.schema import Schema
from ltrec.core.errors import UserError
from ltrec.core.storage.canonical import canonical_json
from ltrec.data.columns import item_values, vocabulary_of
from ltrec.data.manifest import MANIFEST, Manifest, digest_of
from tests.support.shards import column, leave_one_out, random_users, write_dataset

SCHEMA = Schema(
    (
        column("kind", "category", size=4),
        column("price", "number"),
        column("genres", "categories", "item", size=5),
        column("text", "vector", "item", size=3),
        column("age", "number", "user"),
    ),
    weight=True,
)


def small(folder):
    users = [
        replace(user, events={"kind": [n % 4 for n in user.items], "price": [n / 2 for n in user.items]}, columns={"age": 30.0})
        for user in [leave_one_out(n, [1, 2, 3, n % 4 + 1], 0) for n in range(1, 6)]
    ]
    items = {"genres": [[2], [], [3, 4], [2]], "text": [[i, 0, 0] for i in range(4)]}
    return write_dataset(folder, users, num_items=4, schema=SCHEMA, items=items)


def test_a_manifest_describes_the_columns(tmp_path):
    manifest = small(tmp_path)
    loaded = Manifest.load(tmp_path)
    assert loaded == manifest
    assert (loaded.digest, loaded.format_version, loaded.columns) == (manifest.digest, 2, SCHEMA)
    assert loaded.item_table.path == "items/items.parquet"
    assert set(loaded.files()) >= {"columns/event-kind.parquet", "columns/item-genres.parquet", "items/items.parquet"}


def test_shards_have_their_columns_beside_the_items(tmp_path):
    shard = small(tmp_path).shards[0]
    row = pq.read_table(tmp_path / shard.path, partitioning=None).to_pylist()[0]
    assert row["event.kind"] == [n % 4 for n in row["items"]]
    assert (row["weight"], row["user.age"]) == ([1.0] * 4, 30.0)


def test_item_values_come_in_item_order(tmp_path):
    manifest = small(tmp_path)
    ids, starts = item_values(tmp_path, manifest, "genres")
    assert (ids.tolist(), starts.tolist()) == ([2, 3, 4, 2], [0, 1, 1, 3, 4])
    text, none = item_values(tmp_path, manifest, "text")
    assert none is None
    np.testing.assert_array_equal(text, [[i, 0, 0] for i in range(4)])
    assert vocabulary_of(tmp_path, manifest, manifest.columns.of("event")["kind"]) == ["kind-2", "kind-3"]
    with pytest.raises(UserError, match=r"no item column 'genre' \(did you mean 'genres'\?\)"):
        item_values(tmp_path, manifest, "genre")


@pytest.mark.parametrize("name", ["items/items.parquet", "columns/event-kind.parquet"])
def test_a_flipped_byte_in_a_file_of_columns_is_found(tmp_path, name):
    manifest = small(tmp_path)
    content = bytearray((tmp_path / name).read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match="is damaged: its sha256"):
        item_values(tmp_path, manifest, "text") if name.startswith("items") else vocabulary_of(
            tmp_path, manifest, next(iter(SCHEMA))
        )


def test_without_columns_the_manifest_does_not_mention_them(tmp_path):
    manifest = write_dataset(tmp_path, random_users([5]))
    body = json.loads((tmp_path / MANIFEST).read_text())
    assert body["format_version"] == 1
    assert not {"columns", "column_files"} & body.keys()
    assert Manifest.load(tmp_path) == manifest


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format_version": 1}, "format_version is 1, but the data set has columns"),
        ({"columns": Schema(), "column_files": ()}, "format_version is 2, but the data set has no columns"),
        ({"column_files": ()}, "is not a file of the data set"),
    ],
)
def test_a_manifest_that_contradicts_itself_is_refused(tmp_path, change, message):
    with pytest.raises(ValueError, match=message):
        replace(small(tmp_path), **change)


def test_another_format_is_refused(tmp_path):
    body = json.loads(json.dumps(small(tmp_path)._body()))
    with pytest.raises(UserError, match="has format version 4, this ltrec reads 1, 2 and 3"):
        save_and_load(tmp_path, {**body, "format_version": 4})


def save_and_load(folder, body):
    (folder / MANIFEST).write_text(canonical_json({**body, "digest": digest_of(body)}))
    return Manifest.load(folder)
