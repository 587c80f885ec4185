"""A memory with similar items: compared once, with its share chosen together with the weight, and reused later."""

from __future__ import annotations

import json

import numpy as np
import pytest

import ltrec.run.train as training
from ltrec.columns.schema import Schema
from ltrec.evaluation.metrics import ndcg_at
from ltrec.evaluation.table import EvalTable
from ltrec.run.evaluate import evaluate_run
from ltrec.run.process.detect import detect
from tests.support.shards import User, column, write_dataset
from tests.support.tiny_run import tiny_config

V, GROUP = 240, 12
WORDS = ["plugin.name=memory", "plugin.content.columns=[all]", "evaluation.bootstrap_samples=100", "trainer.max_epochs=1"]


def users_of_groups() -> list[User]:
    """Whoever begins in a group of twelve items stays in it and sees five of them, so counts know few of the pairs."""
    draw, found = np.random.default_rng(0), []
    for n in range(90):
        first = 1 + GROUP * int(draw.integers(V // GROUP))
        items = (first + draw.permutation(GROUP)[:5]).tolist()
        found.append(User(f"u{n}", items, n % 3, 3, 3, 4))
    return found


def trained(folder, group_of_item):
    schema = Schema((column("group", "category", "item", 2 + V // GROUP),))
    write_dataset(folder / "data", users_of_groups(), num_items=V, schema=schema, items={"group": group_of_item})
    return training.train(tiny_config(folder / "data", folder, *WORDS))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("groups"), [2 + item // GROUP for item in range(V)])


def test_the_share_is_chosen_with_the_weight_and_evaluate_ranks_by_it(run):
    [entry] = json.loads(run.memory_choices.read_text())["choices"]
    choice = entry["choice"]
    assert choice["share"] == 0.1 and [share for share, _ in choice["shares"]] == [0.0, 0.1]
    assert choice["shares"][1][1] > 1.2 * choice["shares"][0][1] > 0, "counts know few of the pairs, groups know all"
    table = EvalTable.read(evaluate_run(run, "valid", "best", detect())["sasrec"])
    assert float(np.mean(ndcg_at(table.column("rank"), 10))) == max(choice["all"]["ndcg"]) == choice["shares"][1][1]
    assert table.source["memory"]["choice"]["share"] == 0.1


def test_missing_files_are_made_again_identically(run):
    before = run.memory_similar.read_bytes(), run.memory_choices.read_bytes()
    run.memory_similar.unlink()
    run.memory_choices.unlink()
    evaluate_run(run, "valid", "best", detect())
    assert (run.memory_similar.read_bytes(), run.memory_choices.read_bytes()) == before


def test_uninformative_columns_are_left_out_by_the_choice(tmp_path):
    noise = np.random.default_rng(1).integers(2, 2 + V // GROUP, V).tolist()
    run = trained(tmp_path, noise)
    [entry] = json.loads(run.memory_choices.read_text())["choices"]
    assert entry["choice"]["share"] == 0.0


def test_without_columns_nothing_is_compared(data, tmp_path):
    run = training.train(tiny_config(data, tmp_path, *WORDS))
    [entry] = json.loads(run.memory_choices.read_text())["choices"]
    assert not {"share", "shares"} & {*entry["choice"]} and "similar" not in entry["made_for"]
    assert not run.memory_similar.exists()
