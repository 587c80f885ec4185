"""Types of targets, where a data set declares several: as the shards have them, in tables, groups and comparisons."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from ltrec.columns.schema import Schema
from ltrec.core import columns as c
from ltrec.data.manifest import Manifest
from ltrec.data.stream.reading import target_types
from ltrec.data.stream.reading.histories import SplitHistories
from ltrec.data.stream.reading.target_types import read_target_types
from ltrec.evaluation.catalogue import ItemCatalogue
from ltrec.evaluation.comparison.compare import Comparison, compare
from ltrec.evaluation.config import EvaluationConfig
from ltrec.evaluation.groups.targets import target_groups
from ltrec.evaluation.ranking import num_parts, rank_split
from ltrec.evaluation.summary import summarise
from ltrec.evaluation.table import TABLE_SCHEMA, EvalTable, Protocol, assemble
from tests.support.evaluation import falling_counts
from tests.support.shards import column, random_users, write_dataset

V = 30
QUICK = EvaluationConfig(bootstrap_samples=50)


def written(folder, targets):
    """Users whose events are of types 0 to 4 in turn."""
    users = [
        replace(user, events={"type": [(number + i) % 5 for i in range(len(user.items))]})
        for number, user in enumerate(random_users([12, 9], num_items=V, longest=7))
    ]
    split = {"targets": targets} if targets else None
    return users, write_dataset(folder, users, num_items=V, schema=Schema((column("type", "category", size=5),)), split=split)


@pytest.mark.parametrize("split", ["valid", "test"])
def test_types_are_those_of_the_events_at_the_targets(tmp_path, split):
    users, manifest = written(tmp_path, {"type": [4, 2]})
    found = read_target_types(tmp_path, manifest, split)
    assert found.names == ("", "type=type-2", "type=type-4")
    keys = np.sort(np.array([user.key for user in users], np.int64))
    ids = {2: found.names[1], 4: found.names[2]}
    at_name = {"valid": "valid_at", "test": "test_at"}[split]
    by_key = dict(zip(keys.tolist(), found.of(keys), strict=True))
    for user in users:
        at = getattr(user, at_name)
        assert by_key[user.key] == (ids.get(user.events["type"][at], "") if at >= 0 else "")
    assert len({*by_key.values()}) == 3


@pytest.mark.parametrize("targets", [{}, {"type": [2]}])
def test_one_type_or_none_is_nothing_to_tell_apart(tmp_path, targets):
    _, manifest = written(tmp_path, targets)
    assert read_target_types(tmp_path, manifest, "test") is None


def ranked(folder, manifest, shift=0):
    histories = SplitHistories(folder, manifest, "test", max_len=8, chunk_rows=5)
    count = falling_counts(V)

    def score(chunk):
        return ((chunk.batch.user_key_B[:, None] * 7919 + torch.arange(V + 1) * (31 + shift)) % 101).float()

    parts = rank_split(score, histories, count, parts=range(num_parts(histories)), filter_seen=True, top_k=3)
    return assemble(
        parts,
        protocol=Protocol(manifest.digest, "test"),
        source={"name": "x"},
        strata=manifest.strata,
        catalogue=ItemCatalogue.of(count),
        types=read_target_types(folder, manifest, "test"),
    )


def test_a_table_knows_types_only_where_there_are_several(tmp_path):
    _, manifest = written(tmp_path / "a", {"type": [2, 3]})
    table = ranked(tmp_path / "a", manifest)
    table.write(tmp_path / "table.parquet")
    again = EvalTable.read(tmp_path / "table.parquet")
    assert again.rows.equals(table.rows)
    types = [group.key for group in target_groups(again, (0.8,)) if group.key.startswith("type=")]
    assert len(types) == 2
    summary = summarise(again, QUICK)
    assert sum(summary.targets[key].users for key in types) == (table.target_types() != "").sum()
    assert {*types} <= {*json.loads(json.dumps(summary.to_dict()))["targets"]}
    found = compare(base=[table], other=[ranked(tmp_path / "a", manifest, shift=4)], config=QUICK)
    assert Comparison.from_dict(json.loads(json.dumps(found.to_dict(), sort_keys=True))) == found
    assert [*found.targets][-2:] == types

    _, plain = written(tmp_path / "b", {})
    table = ranked(tmp_path / "b", plain)
    assert table.rows.schema == TABLE_SCHEMA
    assert table.target_types() is None


def test_columns_read_are_three(tmp_path, monkeypatch):
    users, manifest = written(tmp_path, {"type": [2, 3]})
    asked = []
    read = target_types.ShardReader.read
    monkeypatch.setattr(target_types.ShardReader, "read", lambda self, s, g, names: asked.append(names) or read(self, s, g, names))
    read_target_types(tmp_path, manifest, "test")
    assert {tuple(names) for names in asked} == {(c.USER_KEY, c.TEST_AT, "event.type")}
    assert Manifest.load(tmp_path).digest == manifest.digest and users
