"""A package outside the repository adds variants without a fork, and works wherever the command does.

`their_models` is named by `imports`, and adds a backbone, a rule and a prior; `their_metrics` is installed, and announces itself by
an entry point. Two processes train, evaluate and report.
"""

import json
import os
from pathlib import Path

import pytest

from tests.support.commands import ROOT, ltrec
from tests.support.tiny_run import tiny_data

MODELS = '''
"""A backbone that remembers two items, a rule that goes by roots of counts, a prior that is the tail."""

from dataclasses import dataclass

import torch
from torch import nn

from ltrec.aggregation import RULES
from ltrec.aggregation.fixed import ByCounts
from ltrec.causal.prior import PRIORS
from ltrec.models.backbones import BACKBONES
from ltrec.models.scoring import all_scores, last_states


@dataclass(frozen=True)
class LastTwoConfig:
    name: str = "last_two"
    width: int = 8


class LastTwo(nn.Module):
    def __init__(self, num_items, max_len, *, width=8):
        super().__init__()
        self.items = nn.Embedding(num_items + 1, width, padding_idx=0)
        self.before = nn.Linear(width, width)

    @property
    def item_table(self):
        return self.items.weight

    def encode(self, batch):
        vectors = self.items(batch.items_T)
        first = torch.zeros(len(vectors), dtype=torch.bool)
        first[batch.offsets[:-1][batch.lengths_B > 0]] = True
        return vectors + self.before(vectors.roll(1, 0).masked_fill(first[:, None], 0.0))

    def final_states(self, batch):
        return last_states(self.encode, batch, self.item_table)

    def scores(self, batch):
        return all_scores(self.final_states(batch), self.item_table)

    def forward(self, batch):
        return self.encode(batch)


@dataclass(frozen=True)
class RootsConfig:
    name: str = "roots"
    power: float = 0.5


def roots(empty, *, power):
    def weigh(counts):
        shares = empty(counts) * counts.double() ** power
        return shares / shares.sum().clamp(min=1e-12)

    return ByCounts(weigh)


BACKBONES.register("last_two", config=LastTwoConfig, build=LastTwo)
RULES.register("roots", kind="linear", config=RootsConfig, build=roots)
PRIORS.register("mostly_tail", build=lambda population: population.users_K / torch.arange(1, len(population.users_K) + 1))
'''

METRICS = '''
"""One metric at every cutoff."""

import numpy as np

from ltrec.evaluation.metrics import METRICS

METRICS.register("top_half", title="Upper half", build=lambda rank, candidates, k: (2 * rank <= k).astype(float))
'''

WORDS = [
    "imports=[their_models]",
    "model.name=last_two",
    "gradients.name=stratified",
    "gradients.rule.name=roots",
    "rule.power=0.25",
    "gradients.prior.name=mostly_tail",
    "evaluation.metrics=[top_half]",
    "evaluation.bootstrap_samples=50",
    "name=r",
    "stream.batch_rows=24",
    "stream.lanes=24",
    "stream.max_len=6",
    "objective.negatives=8",
    "trainer.max_epochs=1",
    "trainer.accelerator=cpu",
    "trainer.threads=1",
]


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """A folder on the path of Python, with both packages."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "their_models").mkdir()
    (folder / "their_models" / "__init__.py").write_text(MODELS)
    (folder / "their_metrics.py").write_text(METRICS)
    info = folder / "their_metrics-2.1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: their-metrics\nVersion: 2.1\n")
    (info / "entry_points.txt").write_text("[ltrec.plugins]\nmetrics = their_metrics\n")
    return folder


def test_a_package_from_outside_trains_evaluates_and_reports_on_two_processes(site, tmp_path):
    path = {"PYTHONPATH": os.pathsep.join([str(ROOT), str(site)])}
    data, run = tiny_data(tmp_path / "data"), tmp_path / "runs" / "r"
    ltrec("train", f"data.path={data}", f"out={tmp_path / 'runs'}", *WORDS, processes=2, **path)
    ltrec("evaluate", run, processes=2, **path)
    ltrec("report", run, **path)

    origin = json.loads((run / "provenance.json").read_text())
    assert origin["hardware"]["processes"] == 2
    extensions = {one.pop("module"): one for one in origin["extensions"]}
    assert extensions["their_metrics"]["distribution"] == "their-metrics" and extensions["their_metrics"]["version"] == "2.1"
    assert extensions["their_models"]["distribution"] is None and len(extensions["their_models"]["digest"]) == 12
    found = json.loads((run / "eval" / "test.json").read_text())["last_two"]["groups"]["all"]["metrics"]
    assert 0 < found["top_half@20"]["mean"] == found["hr@10"]["mean"] < 1, "the upper half of 20 is the upper ten"
    assert "Upper half@10" in (run / "report" / "index.html").read_text()

    gone = ltrec("evaluate", run, check=False)
    assert gone.returncode == 2
    assert "'imports' in " in gone.stderr and "no module 'their_models' is found here" in gone.stderr
    assert "Traceback" not in gone.stderr
