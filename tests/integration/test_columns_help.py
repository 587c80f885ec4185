"""On a log whose columns predict the next item, a model that sees them gains, the tail most; noise costs it nothing."""

import numpy as np
import pytest

import ltrec
from ltrec.cli.main import main
from ltrec.evaluation.table import NUM_CANDIDATES, RANK, TARGET_COUNT
from tests.support.source_tree import ROOT

LOG = ["--users", "3000", "--items", "600", "--category-share", "0.8", "--new-items", "100", "--events-per-user", "8"]
WORDS = ["model.width=32", "model.blocks=1", "model.dropout=0.3", "optim.lr=3e-3", "trainer.max_epochs=14", "trainer.patience=4"]
WORDS += ["stream.max_len=20", "stream.batch_rows=96", "stream.window=random", "objective.name=softmax", "trainer.accelerator=cpu"]
WORDS += ["trainer.threads=1", "trainer.progress=false"]
GIVEN = ["inputs.items=[all]", "inputs.events=[all]"]


def compared(folder, columns):
    """The run that is given the columns against the one that is not."""
    raw, data = folder / "raw", folder / "data"
    assert main(["fetch", "synthetic", "--columns", columns, *LOG, "--out", str(raw)]) == 0
    words = [f"prepare.sources=[{raw / 'events.parquet'}]", f"prepare.items.source={raw / 'items.parquet'}", f"data.path={data}"]
    assert main(["prepare", str(ROOT / "conf/data/synthetic-columns.yaml"), *words]) == 0
    for name, given in (("ids", []), ("columns", GIVEN)):
        files = [str(ROOT / "conf/model/sasrec.yaml"), str(ROOT / "conf/method/joint.yaml")]
        assert main(["train", *files, f"data.path={data}", f"out={folder / 'runs'}", f"name={name}", *WORDS, *given]) == 0
    runs = folder / "runs"
    return ltrec.evaluate(runs / "columns", compare=runs / "ids", bootstrap_samples=1000)


def new_items_auc(table):
    """How many other items the targets that training never saw beat."""
    new = table.column(TARGET_COUNT) == 0
    rank, candidates = table.column(RANK)[new], table.column(NUM_CANDIDATES)[new]
    return float(np.mean((candidates - rank) / (candidates - 1)))


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_columns_that_predict_the_next_item_help_the_tail_most(tmp_path):
    found = compared(tmp_path, "informative")
    change = {key: group.metrics["ndcg@10"] for key, group in found.comparison.groups.items()}
    assert change["tail"].change.low > 0
    assert change["tail"].relative > 0.08
    assert change["tail"].relative > change["head"].relative + 0.05
    assert found.comparison.targets["item=tail"].metrics["ndcg@10"].change.low > 0
    assert new_items_auc(found.runs[0].table) > 0.7
    assert new_items_auc(found.rivals[0].table) < 0.4


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_columns_that_are_noise_cost_nothing(tmp_path):
    """A loss of more than one per cent is not found."""
    found = compared(tmp_path, "noise").comparison.groups["all"].metrics["ndcg@10"]
    assert found.share().high > -0.01
    assert found.relative > -0.03
