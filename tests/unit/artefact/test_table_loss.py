"""What a smaller item table costs, measured on a run's users by the formulas of evaluation."""

from __future__ import annotations

import pytest
import torch

from ltrec.artefact.card import card
from ltrec.artefact.dense.scorers import ITEM_VECTORS, scores_of
from ltrec.artefact.facts import Measurements
from ltrec.artefact.items.loss import GroupLoss, TableLoss, table_loss
from ltrec.artefact.items.precision import computed_tables, stored_tables
from ltrec.artefact.parity import Parity
from ltrec.artefact.recommender import program_of
from ltrec.core.errors import UserError
from ltrec.core.progress import silent
from ltrec.core.storage.run_folder import RunFolder
from ltrec.evaluation.estimates import Estimate
from ltrec.evaluation.table import EvalTable
from ltrec.models.plugins.copies import Copies
from ltrec.run.build.components import open_data
from ltrec.run.checkpoint.find_checkpoint import find_checkpoint
from ltrec.run.evaluate import evaluate_run
from ltrec.run.folder.reopen import reopen
from ltrec.run.process.detect import detect
from tests.support import tiny_fixtures
from tests.unit.artefact.test_card import FACTS

data, undisturbed = tiny_fixtures.data, tiny_fixtures.undisturbed


@pytest.fixture(scope="module")
def made(undisturbed):
    config = reopen(RunFolder(undisturbed), ["evaluation.bootstrap_samples=200"])
    opened, checkpoint = open_data(config), find_checkpoint(RunFolder(undisturbed), "best")
    return config, opened, program_of(config, opened, checkpoint, detect(), None, k=10, weights=None)


def lost(made, tables) -> TableLoss:
    return table_loss(*made, tables, "int8", silent)


def test_the_same_table_loses_nothing_and_its_ranks_are_those_of_evaluate(made, undisturbed):
    same = lost(made, made[2].tables)
    table = EvalTable.read(evaluate_run(RunFolder(undisturbed), "test", "best", detect())["sasrec"])
    ranks = table.column("rank")
    assert same.k == 10 and [g.key for g in same.groups[:3]] == ["all", "tail", "head"] and same.groups[0].users == len(ranks)
    ndcg = (1 / torch.log2(1 + torch.tensor(ranks).double()))[torch.tensor(ranks) <= 10].sum() / len(ranks)
    assert same.groups[0].base == pytest.approx(float(ndcg), abs=1e-9)
    assert all((g.change.low, g.change.high, g.common.mean) == (0, 0, 1) for g in same.groups)


def test_a_coarse_table_loses_something_and_one_of_eight_bits_little(made):
    tables = made[2].tables
    small = lost(made, computed_tables(stored_tables(tables, "int8")))
    other = lost(made, {**tables, ITEM_VECTORS: torch.randn_like(tables[ITEM_VECTORS])})
    assert small.groups[0].common.mean > 0.9 > 0.7 > other.groups[0].common.mean
    assert other.groups[0].common.low < other.groups[0].common.mean < other.groups[0].common.high
    assert sum(g.users for g in small.groups if g.key.startswith("stratum=")) == small.groups[0].users
    assert {*small.to_dict()["groups"]} >= {"all", "tail", "head", "stratum=0"}


def test_a_backbone_of_ones_own_is_one_line_that_names_the_way_out(made, undisturbed, monkeypatch):
    assert scores_of(torch.nn.Linear(2, 2), 3) is None and scores_of(Copies(torch.nn.Linear(2, 2), num_strata=2), 2) is None
    monkeypatch.setattr("ltrec.artefact.recommender.scores_of", lambda *_: None)
    with pytest.raises(
        UserError, match=r"model\.name=sasrec with plugin\.name=none cannot be exported: .*; use ltrec predict RUN --input"
    ):
        program_of(*made[:2], find_checkpoint(RunFolder(undisturbed), "best"), detect(), None, k=3, weights=None)


def by_hand(change: float) -> TableLoss:
    return TableLoss("int8", 10, (GroupLoss("tail", "tail", 7, 0.5, Estimate(change, -0.1, 0.05), Estimate(0.9, 0.8, 1)),))


def test_more_than_is_allowed_is_refused():
    by_hand(-0.04).refuse_over(0.1)
    with pytest.raises(UserError, match=r"--max-loss 0\.1: with --table int8 tail lose 0\.0600 of NDCG@10 0\.5000; nothing was"):
        by_hand(-0.06).refuse_over(0.1)


def test_lines_and_card_say_it():
    [line] = by_hand(-0.04).lines()
    assert line == "tail (7): NDCG@10 0.5000 -0.0400 [-0.1000, +0.0500], top 10 in common 90.0% [80.0%, 100.0%]"
    text = card({**FACTS, "table": "int8"}, Measurements(None, ()), Parity(1, 0.0, 0), by_hand(-0.04))
    assert "stored as int8" in text and "| tail | 7 | 0.5000 | -0.0400 [-0.1000, +0.0500] | 90.0% [80.0%, 100.0%] |" in text
    assert "no held-out users" in card({**FACTS, "table": "fp16"}, Measurements(None, ()), Parity(1, 0.0, 0))
    assert "## Item table" not in card(FACTS, Measurements(None, ()), Parity(1, 0.0, 0))
