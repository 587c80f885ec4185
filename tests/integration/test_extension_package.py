"""A package outside the repository adds variants without a fork, and works wherever the command does.

`their_models` is named by `imports`, and adds a backbone, a rule and a prior; `their_metrics` is installed, and announces itself by
an entry point. Two processes train, evaluate and report.
"""

import json
import os
from pathlib import Path

import pytest

from tests.support.commands import ROOT, ltrec
from tests.support.pages import PAGES, blocks
from tests.support.tiny_run import tiny_data

MODELS, METRICS, _COLUMNS = blocks(PAGES["docs/extending.md"], "python")
"""The page's own examples."""

WORDS = [
    "imports=[their_models]",
    "model.name=last_two",
    "model.width=8",
    "gradients.name=stratified",
    "gradients.rule.name=roots",
    "gradients.rule.power=0.25",
    "gradients.prior.name=mostly_tail",
    "evaluation.metrics=[top_half]",
    "evaluation.bootstrap_samples=50",
    "name=r",
    "stream.batch_rows=24",
    "stream.lanes=24",
    "stream.max_len=6",
    "objective.negatives=8",
    "trainer.max_epochs=1",
    "trainer.monitor=val/top_half@20/tail",
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
    validated = [line for line in map(json.loads, (run / "metrics.jsonl").read_text().splitlines()) if "val/ndcg@10" in line]
    assert validated[-1]["val/top_half@20"] == validated[-1]["val/hr@10"] and "val/top_half@20/tail" in validated[-1]
    found = json.loads((run / "eval" / "test.json").read_text())["last_two"]["groups"]["all"]["metrics"]
    assert 0 < found["top_half@20"]["mean"] == found["hr@10"]["mean"] < 1, "the upper half of 20 is the upper ten"
    assert "Upper half@10" in (run / "report" / "index.html").read_text()

    gone = ltrec("evaluate", run, check=False)
    assert gone.returncode == 2
    assert "'imports' in " in gone.stderr and "no module 'their_models' is found here" in gone.stderr
    assert "Traceback" not in gone.stderr
