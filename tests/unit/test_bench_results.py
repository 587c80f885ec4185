"""The results of benchmarks/methods.py: keys of runs, lines in files, summaries over seeds, the page."""

import importlib
import json
import shutil

import pytest
from matplotlib.figure import Figure

from ltrec.config.load import load
from ltrec.core.errors import UserError
from ltrec.evaluation.comparison.compare import compare
from ltrec.evaluation.comparison.gate import gate
from ltrec.evaluation.comparison.pairing import pair
from ltrec.evaluation.config import EvaluationConfig
from ltrec.evaluation.table import EvalTable
from ltrec.reporting.plots.style import LIGHT
from tests.support.fake_run import fake_run
from tests.support.source_tree import ROOT

SEEDS = (1, 2, 3)
FAST = EvaluationConfig(bootstrap_samples=500)
TUNED = {"validation": {g: {"ndcg@10": 0.05, "hr@10": 0.1} for g in ("all", "tail", "head")}, "best_epoch": 7.0, "words": []}


@pytest.fixture(scope="module")
def bench():
    """The benchmark's modules."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "benchmarks")
        names = ("tables", "page", "figure", "run", "summary")
        modules = {name: importlib.import_module(f"methods_{name}") for name in names}
        yield modules | {"ledger": importlib.import_module("harness.ledger")}


def test_a_key_knows_what_matters_and_nothing_else(bench):
    key_of = bench["ledger"].key_of
    key = key_of(load([], []), "digest")
    assert len(key) == 16
    for word in ("name=x", "out=y", "data.path=z", "trainer.threads=2", "prepare.strata=2", "optim.lr=1e-3"):
        assert key_of(load([], [word]), "digest") == key, word
    others = [
        "seed=1",
        "optim.lr=2e-3",
        "trainer.max_epochs=3",
        "trainer.patience=1",
        "evaluation.filter_seen=false",
        "stream.lanes=24",
    ]
    others += ["model.width=32", "gradients.name=stratified", "objective.name=softmax"]
    keys = {key_of(load([], [word]), "digest") for word in others} | {key, key_of(load([], []), "other")}
    assert len(keys) == len(others) + 2


def test_a_torn_line_is_forgotten(bench, tmp_path):
    ledger = bench["ledger"].Ledger(tmp_path / "new", "methods")
    line = {"data": "music", "phase": "tune", "key": "k"}
    assert ledger.lines("music") == [] and ledger.find("music", "tune", "k") is None
    ledger.add(line)
    with ledger.path("music").open("a") as handle:
        handle.write('{"data": "mus')
    assert ledger.lines("music") == [line]
    ledger.add(line | {"phase": "final"})
    assert ledger.find("music", "final", "k") == line | {"phase": "final"}
    assert ledger.find("music", "final", "other") is None and ledger.find("steam", "final", "k") is None
    assert len(ledger.lines("music")) == 2


def final_line(bench, out, data, method, seed):
    """Of a run that was never trained."""
    name, gain = f"{data}-{method}-{seed}", 2.0 * (method == "pin")
    run = fake_run(out / "runs" / name, users=500, seed=seed + 10 * (method != "joint"), lift=gain, tax=-gain / 2)
    table = EvalTable.read(run / "eval" / "test.parquet")
    table.source["seed"] = seed
    table.write(run / "eval" / "test.parquet")
    found = {"test": bench["run"].figures(run / "eval" / "test.parquet", FAST)}
    found["baselines"] = {"popularity": bench["run"].figures(run / "eval" / "baseline-popularity-test.parquet", FAST)}
    facts = {"phase": "final", "data": data, "method": method, "setting": "as-is", "seed": seed, "key": name, "run": name}
    return {**TUNED, **facts, **found, "seconds": 12.0, "busy": 1.5, "commit": "abc"}


def summarise(bench, ledger, out):
    """As the benchmark does at its end."""

    def finals(data, method):
        found = [line for line in ledger.lines(data) if line["phase"] == "final" and line["method"] == method]
        return found or None

    protocol = bench["tables"].PROTOCOLS["methods"]
    bench["summary"].summaries(ledger, protocol, finals, ["joint", "ipw", "pin"], out, FAST)
    bench["page"].write_page(out / "methods.md", protocol, ledger)


@pytest.fixture(scope="module")
def measured(bench, tmp_path_factory):
    """Two data sets, three methods, one of them on one data set only: the ledger, and the folder with runs and page."""
    out = tmp_path_factory.mktemp("out")
    ledger = bench["ledger"].Ledger(out, "methods")
    for data, method in (("music", "joint"), ("music", "pin"), ("music", "ipw"), ("steam", "joint"), ("steam", "pin")):
        (out / "data" / data).mkdir(parents=True, exist_ok=True)
        ledger.add({**TUNED, "phase": "tune", "data": data, "method": method, "setting": "as-is", "seed": 0, "key": "t"})
        for seed in SEEDS:
            ledger.add(final_line(bench, out, data, method, seed))
    summarise(bench, ledger, out)
    return ledger, out


def tables(out, method, data):
    return [EvalTable.read(out / "runs" / f"{data}-{method}-{seed}" / "eval" / "test.parquet") for seed in SEEDS]


def test_summaries_are_ltrecs_own_comparison_and_gate(bench, measured):
    ledger, out = measured
    every = [*ledger.lines("music"), *ledger.lines("steam")]
    lines = {(line["data"], line["method"]): line for line in every if line["phase"] == "summary"}
    assert set(lines) == {("music", "joint"), ("music", "pin"), ("music", "ipw"), ("steam", "joint"), ("steam", "pin")}
    pairs = {data: pair(base=tables(out, "joint", data), other=tables(out, "pin", data)) for data in ("music", "steam")}
    expected = {v.dataset: v for v in gate(pairs, FAST).datasets}
    mine = lines["steam", "pin"]
    assert mine["seeds"] == list(SEEDS) and mine["judged_with"] == ["music", "steam"]
    assert mine["gate"]["verdict"] == expected["steam"].verdict == "pass"
    assert mine["gate"]["tail"]["p"] == pytest.approx(expected["steam"].tail.p)
    assert lines["music", "ipw"]["judged_with"] == ["music"] and lines["music", "joint"]["gate"] is None
    other = compare(base=tables(out, "joint", "steam"), other=tables(out, "pin", "steam"), config=FAST)
    for group in ("all", "tail", "head", "stratum=2"):
        theirs = other.groups[group].metrics["ndcg@10"]
        found = mine["groups"][group]["ndcg@10"]
        assert found["change"] == pytest.approx([theirs.change.mean, theirs.change.low, theirs.change.high], abs=1e-5)
        assert found["mean"][0] == pytest.approx(theirs.other, abs=1e-5) and found["mean"][1] < found["mean"][0] < found["mean"][2]
    before = ledger.path("music").read_text()
    summarise(bench, ledger, out)
    assert ledger.path("music").read_text() == before, "a summary that is there is not written again"


def test_the_page_shows_verdicts_figures_and_settings(measured):
    ledger, out = measured
    page = (out / "methods.md").read_text()
    assert page.index("## music") < page.index("## steam")
    steam = page[page.index("## steam") :]
    summary = next(line for line in ledger.lines("steam") if line["phase"] == "summary" and line["method"] == "pin")
    assert f"| pin | {summary['groups']['all']['ndcg@10']['mean'][0]:.4f} |" in steam
    assert "**pass** (tail pass, head pass)" in steam and "| *popularity* |" in steam
    assert "| pin | **as-is** |" in steam and "ipw" not in steam
    assert "cold" not in page, "groups that the protocol does not name stay out"


def test_a_table_that_was_lost_is_named(bench, measured, tmp_path):
    ledger, out = measured
    shutil.copytree(out, tmp_path / "copy")
    again = bench["ledger"].Ledger(tmp_path / "copy", "methods")
    kept = [line for line in ledger.lines("music") if line["phase"] != "summary"]
    again.path("music").write_text("".join(json.dumps(line) + "\n" for line in kept))
    (tmp_path / "copy" / "runs" / "music-pin-2" / "eval" / "test.parquet").unlink()
    with pytest.raises(UserError, match=r"music-pin-2.*not found"):
        summarise(bench, again, tmp_path / "copy")


def test_the_figure_shows_the_changes_of_the_summaries(bench, measured):
    ledger, out = measured
    protocol = bench["tables"].PROTOCOLS["methods"]
    lines = bench["figure"].latest(protocol, ledger.lines("music"))
    assert [line["method"] for line in lines] == ["ipw", "pin"], "the base is not compared with itself"
    axes = Figure().subplots()
    bench["figure"].panel(axes, LIGHT, "music", lines, protocol)
    dots = [line for line in axes.lines if line.get_marker() == "o"]
    for group, colour in (("tail", LIGHT.tail), ("head", LIGHT.head)):
        points = [dot.get_xdata()[0] for dot in dots if dot.get_color() == colour]
        assert points == pytest.approx([100 * line["groups"][group]["ndcg@10"]["relative"] for line in lines], abs=0.05)
    assert "](methods.png)" in (out / "methods.md").read_text() and (out / "methods.png").read_bytes().startswith(b"\x89PNG")


def test_nothing_finished_is_no_figure(bench, tmp_path):
    protocol, ledger = bench["tables"].PROTOCOLS["methods"], bench["ledger"].Ledger(tmp_path, "methods")
    bench["page"].write_page(tmp_path / "methods.md", protocol, ledger)
    assert not (tmp_path / "methods.png").exists() and "png" not in (tmp_path / "methods.md").read_text()
