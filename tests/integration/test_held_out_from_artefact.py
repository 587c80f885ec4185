"""Held-out users, who have a history but no part in training: ranked from the exported folder as `ltrec evaluate` ranks them."""

from __future__ import annotations

import math
import runpy
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

import ltrec
from ltrec.evaluation.table import EvalTable
from ltrec.run.train import train
from tests.support.given import users_of
from tests.support.shards import random_users, write_dataset
from tests.support.tiny_run import tiny_config


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> ltrec.Run:
    """A run with a plugin per stratum, and 25 held-out users, among them some with long histories."""
    folder, users = tmp_path_factory.mktemp("held-out"), random_users([40, 30, 20, 25], num_items=30, longest=8)
    manifest = write_dataset(
        folder / "data", [replace(u, stratum=-1, train_events=0) if u.stratum == 3 else u for u in users], num_items=30
    )
    replace(manifest, strata=replace(manifest.strata, lower_bounds=(1, 5, 7))).save(folder / "data")
    words = ["gradients.name=stratified", "plugin.name=bottleneck", "plugin.switch.at=1", "trainer.max_epochs=2", "optim.lr=0.02"]
    return ltrec.load_run(train(tiny_config(folder / "data", folder / "runs", *words)).path)


def own_rank(listed: list[str], target: str, seen: set[str], *, filter_seen: bool) -> int:
    """The protocol, applied to a list of all items: those of the history are no candidates, the target always is."""
    candidates = [item for item in listed if item == target or not (filter_seen and item in seen)]
    return 1 + candidates.index(target)


@pytest.mark.slow
@pytest.mark.parametrize("form", ["torch", "onnx"])
def test_ranks_of_held_out_users_are_those_of_evaluate(run, tmp_path, form):
    exported = ltrec.export(run, format=form, out=tmp_path / "model", k=30, filter_seen=False)
    recommend = runpy.run_path(str(exported.path / "recommend.py"))["Recommender"](exported.path)
    data = Path(run.config.data.path)
    histories = users_of(data)
    answers = dict(zip([user["user_id"] for user in histories], recommend(histories), strict=True))
    seen = {user["user_id"]: {*user["items"]} for user in histories}
    for filter_seen in (True, False):
        found = run.evaluate(filter_seen=filter_seen, bootstrap_samples=100).runs[0]
        table = EvalTable.read(run.path / "eval/test.parquet")
        rows = [row for row in table.rows.to_pylist() if row["stratum"] == -1]
        assert len(rows) == 25 and len({answers[row["user_id"]]["stratum"] for row in rows}) > 1
        ranks = []
        for row in rows:
            own = answers[row["user_id"]]
            assert len(own["items"]) == 30 and min_gap(own["scores"]) > 1e-5
            ranks.append(own_rank(own["items"], f"i{row['target']}", seen[row["user_id"]], filter_seen=filter_seen))
            assert ranks[-1] == row["rank"], row["user_id"]
        ndcg = sum(1 / math.log2(1 + rank) for rank in ranks if rank <= 10) / len(ranks)
        new = found.summary.groups["new"]
        assert new.users == 25 and new.metrics["ndcg@10"].mean == pytest.approx(ndcg, abs=1e-12)


def min_gap(scores: list[float]) -> float:
    return min(a - b for a, b in pairwise(scores))
