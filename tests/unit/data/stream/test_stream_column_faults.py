"""Columns are read only if requested; invalid values are reported with shard and row group."""

from __future__ import annotations

from dataclasses import replace

import pyarrow.parquet as pq
import pytest

from ltrec.columns.schema import Projection
from ltrec.core import columns as c
from ltrec.core.errors import UserError
from ltrec.data.stream.order.plan import Plan
from ltrec.data.stream.reading.histories import SplitHistories
from ltrec.data.stream.reading.shards import ShardReader
from tests.support.columned import ALL, SCHEMA, TARGETS, make, with_columns
from tests.support.shards import random_users, write_dataset
from tests.support.streaming import BASE, VARIANTS


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    folder = tmp_path_factory.mktemp("columns")
    users = with_columns(random_users([41, 40, 38]))
    return folder, write_dataset(folder, users, block_rows=3, schema=SCHEMA, split={"targets": TARGETS}), users


def chunk_of(file, name, group=0):
    """Where a column's pages lie in a shard: first byte, bytes."""
    found = file.metadata.row_group(group)
    [meta] = [m for m in map(found.column, range(found.num_columns)) if m.path_in_schema.split(".list")[0] == name]
    return meta.data_page_offset, meta.total_compressed_size


def test_only_requested_columns_are_read(tmp_path):
    users = with_columns(random_users([30]))
    manifest = write_dataset(tmp_path, users, block_rows=30, schema=replace(SCHEMA, weight=False))
    [path] = [shard.path for shard in manifest.shards if shard.trainable]
    for name in ("event.kind", "event.seen", "times", "user.job", "user.age"):
        start, size = chunk_of(pq.ParquetFile(tmp_path / path), name)
        content = bytearray((tmp_path / path).read_bytes())
        content[start : start + size] = bytes(size)
        (tmp_path / path).write_bytes(content)
    tiny = tmp_path, manifest, users
    assert next(iter(make(tiny, BASE, check="size", columns=Projection(events=("price",))))).events["price"].numel()
    for asked in (Projection(events=("kind",)), Projection(events=("time",)), Projection(users=("job",))):
        with pytest.raises(UserError, match=r"row group 0: .*the data set is damaged"):
            next(iter(make(tiny, BASE, check="size", columns=asked)))


def columns_read(monkeypatch, act):
    """Names of the columns that were read."""
    read, before = set(), ShardReader.read
    monkeypatch.setattr(ShardReader, "read", lambda self, *place: read.update(place[2]) or before(self, *place))
    act()
    return read


def test_the_columns_that_are_read_are_those_of_the_projection_and_of_the_targets(tiny, monkeypatch):
    plain = {c.USER_KEY, c.STRATUM, c.TRAIN_EVENTS, c.ITEMS}
    own = {"weight", "event.kind"}
    assert columns_read(monkeypatch, lambda: list(make(tiny, BASE))) == plain | own
    asked = Projection(events=("time",), users=("age",))
    assert columns_read(monkeypatch, lambda: list(make(tiny, BASE, columns=asked))) == plain | own | {"times", "user.age"}


def damaged(tmp_path, change, **options):
    """A data set of which one user's columns are changed."""
    users = with_columns(random_users([30]))
    users[7] = change(users[7])
    return tmp_path, write_dataset(tmp_path, users, block_rows=30, schema=SCHEMA), users


FAULTS = {
    "too short": (
        lambda u: replace(u, events=u.events | {"kind": u.events["kind"][1:]}),
        r"column event.kind is not as long as items",
    ),
    "id": (lambda u: replace(u, events=u.events | {"kind": [6] * len(u.items)}), r"column event.kind: .*6"),
    "infinite": (lambda u: replace(u, events=u.events | {"price": [float("inf")] * len(u.items)}), r"column event.price: .*inf"),
    "weight": (lambda u: replace(u, weight=[-1.0] * len(u.items)), r"column weight has values that are not weights"),
    "nan weight": (lambda u: replace(u, weight=[float("nan")] * len(u.items)), r"column weight has values that are not weights"),
    "user's id": (lambda u: replace(u, columns=u.columns | {"job": -1}), r"column user.job: .*-1"),
    "times": (lambda u: replace(u, times=u.times[1:]), r"column times is not as long as items"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_name_shard_and_row_group(tmp_path, fault):
    change, message = FAULTS[fault]
    folder, manifest, users = damaged(tmp_path, change)
    with pytest.raises(UserError, match=rf"^step \d+: .*part-00000.parquet, row group 0: {message}.*; the data set is damaged"):
        list(make((folder, manifest, users), BASE, columns=ALL))
    if "weight" not in fault:
        with pytest.raises(UserError, match=rf"part-00000.parquet, row group 0: {message}.*; the data set is damaged"):
            SplitHistories(folder, manifest, "test", 5, columns=ALL).chunk(0)


def test_memory_is_refused_with_columns_where_items_alone_would_fit(tmp_path):
    users = with_columns(random_users([200], longest=400))
    manifest = write_dataset(tmp_path, users, schema=replace(SCHEMA, weight=False))
    config = replace(VARIANTS["lanes"], max_len=400, window="random")
    enough = -(-Plan.of(manifest, 5, config).memory_bytes(12) >> 20)
    make((tmp_path, manifest, users), config, memory_mib=enough)
    with pytest.raises(UserError, match=rf"may hold \d+ MiB of rows, `memory_mib`={enough}"):
        make((tmp_path, manifest, users), config, memory_mib=enough, columns=ALL)
