"""benchmarks/papers.py: its claims load and differ, cells and findings say what the lines say, the page shows all three columns."""

import importlib
import re

import numpy as np
import pytest

from benchmarks.harness.conf_methods import FILES
from ltrec.config.load import dump, load
from ltrec.evaluation.sampled.pooled_auc import pooled_auc, sampled_scores
from ltrec.run.build.components import build_histories, open_data
from ltrec.run.checkpoint.find_checkpoint import find_checkpoint
from ltrec.run.evaluate import evaluate_run
from ltrec.run.folder.reopen import reopen
from ltrec.run.process.detect import detect
from ltrec.run.scoring.protocol import negatives_of
from ltrec.run.scoring.scorer import load_network
from ltrec.run.train import train
from tests.support.source_tree import ROOT
from tests.support.tiny_run import tiny_data

SEEDS = [0, 1, 2]


@pytest.fixture(scope="module")
def bench():
    """The benchmark's modules."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "benchmarks")
        names = ("tables", "cells", "page", "work", "published", "pooled")
        yield {name: importlib.import_module(f"papers_{name}") for name in names}


def claims(bench):
    return list(bench["tables"].CLAIMS.values())


def test_settings_load_and_differ(bench):
    """On every data set a side's settings are accepted, and no two of a method are the same."""
    for claim in claims(bench):
        for side in claim.sides:
            for config in side.protocol.configs.values():
                for method in side.protocol.methods:
                    files = [ROOT / config, FILES[method][0]]
                    settings = side.protocol.settings.get(method, {"as-is": ()})
                    assert all(re.fullmatch("[a-z-]+", name) for name in settings), "a part of folder names"
                    trees = [dump(load(files, [*side.words, *words])) for words in settings.values()]
                    assert len(set(trees)) == len(trees), f"{claim.name} {side.name} {method}"


def test_what_is_printed_can_be_measured(bench):
    """Every printed figure has the base's beside it, and a data set, method, group and metric that the claim measures."""
    for claim in claims(bench):
        assert set(claim.published) <= set(claim.seeds) == set(claim.data) == set(claim.ours.protocol.configs)
        for methods in claim.published.values():
            base = methods[claim.theirs.protocol.methods[0]]
            assert set(methods) <= set(claim.theirs.protocol.methods)
            for figures in methods.values():
                assert set(figures) <= set(claim.groups) and set(figures) == set(base)
                assert {m for of_group in figures.values() for m in of_group} <= set(claim.metrics)


def test_sides_differ_in_nothing_but_what_they_say(bench):
    for claim in claims(bench):
        theirs, ours = (side.protocol for side in claim.sides)
        assert theirs.configs == ours.configs and theirs.metrics == ours.metrics
        rivals = set(theirs.methods[1:]) & set(ours.methods[1:])
        assert rivals and all(theirs.settings.get(m, {}).keys() == ours.settings.get(m, {}).keys() for m in rivals)
        assert [*claim.groups][: len(theirs.groups)] == list(theirs.groups)


def test_the_paper_s_loss_is_the_paper_s(bench):
    """LTP and PIN: BCE against softmax. Fairness: a user, or a target, is an example, for the base and for every rival."""
    softmax = {"ltp": "softmax", "pin": "sampled_softmax", "fairness": ""}
    for claim in claims(bench):
        for side, wanted in zip(claim.sides, (("bce", "user"), (softmax[claim.paper], "target")), strict=True):
            for config in side.protocol.configs.values():
                for method in side.protocol.methods:
                    settings = side.protocol.settings.get(method, {"as-is": ()})
                    for words in settings.values():
                        found = load([ROOT / config, FILES[method][0]], [*side.words, *words])
                        if claim.paper != "fairness":
                            assert found.objective.name == wanted[0] and found.model.width <= 50
                            assert found.evaluation.candidates == ("full" if claim.paper == "ltp" else "sampled")
                        elif method != "joint":
                            assert found.stream.unit == wanted[1] and found.objective.name == "softmax"


def summary(method, figures, seeds=SEEDS):
    """A summary line; figures: (group, metric) -> mean, change, low, high."""
    groups = {}
    for (group, metric), (mean, *change) in figures.items():
        groups.setdefault(group, {})[metric] = {"mean": [mean, 0, 1], "change": change, "relative": None, "p_gain": 0.5}
    return {"phase": "summary", "method": method, "setting": "as-is", "seeds": seeds, "groups": groups, "key": "k"}


def measured(bench, claim, which, lines):
    return bench["cells"].Measured(claim.sides[which], lines)


def test_cells_and_verdicts(bench):
    claim, cells = bench["tables"].CLAIMS["ltp-sasrec"], bench["cells"]
    key = ("existing", "hr@10")
    lines = [
        summary("joint", {key: (0.04, 0, 0, 0)}),
        summary("ltp", {key: (0.09, 0.05, 0.01, 0.09)}),
        summary("ltp", {key: (0.05, 0.01, -0.01, 0.03)}),
        summary("ltp-alignment", {key: (0.03, -0.01, -0.02, -0.005)}),
        summary("ltp-adversarial", {key: (0.05, 0.01, 0.005, 0.02)}),
        summary("per-user-mean", {key: (0.05, 0.01, 0.005, 0.02)}, seeds=[0]),
    ]
    side = measured(bench, claim, 0, lines)
    cell = side.cell("ltp", *key)
    assert (cell.value, cell.base, cell.low, cell.high, cell.seeds) == (0.05, 0.04, -0.01, 0.03, 3), "the newest line counts"
    assert side.cell("joint", *key).base == 0.04 and side.cell("joint", *key).low is None
    assert side.cell("ltp", "nobody", "hr@10") is None and side.cell("ipw", *key) is None
    verdicts = {m: side.cell(m, *key).verdict for m in ("ltp", "ltp-alignment", "ltp-adversarial", "per-user-mean")}
    assert verdicts == {
        "ltp": cells.OPEN,
        "ltp-alignment": cells.LOST,
        "ltp-adversarial": cells.SHOWN,
        "per-user-mean": cells.OPEN,
    }, "one seed shows nothing"
    told = cells.printed(claim, "music", "ltp", *key)
    assert (told.value, told.base, told.verdict) == (0.0605, 0.0530, cells.OPEN)
    assert cells.printed(claim, "music", "ltp", "tail", "hr@10") is None


def test_a_pooled_metric_is_the_mean_over_the_seeds_that_are_shared(bench):
    claim, pooled = bench["tables"].CLAIMS["pin-din"], bench["published"].POOLED
    values = {"joint": {0: 0.9, 1: 0.8, 2: 0.1}, "pin-released": {0: 0.92, 1: 0.84, 5: 0.2}}
    lines = [
        {"phase": "pooled", "method": method, "seed": seed, "groups": {"all": value}}
        for method, of_seed in values.items()
        for seed, value in of_seed.items()
    ]
    side = measured(bench, claim, 0, lines)
    cell = side.cell("pin-released", "all", pooled)
    assert (cell.value, cell.base, cell.seeds) == (pytest.approx(0.88), pytest.approx(0.85), 2)
    assert side.cell("joint", "all", pooled).value == pytest.approx(0.6)
    assert side.cell("pin-backbone", "all", pooled) is None and side.cell("joint", "tail", pooled) is None
    assert bench["cells"].printed(claim, "ml-1m", "joint", "all", pooled).value == 0.9077


def test_pooled_auc_of_a_run_by_group(bench, tmp_path):
    """Of a tiny DIN: the pools of every stratum, made again chunk by chunk without the table."""
    words = ["stream.batch_rows=24", "stream.lanes=24", "stream.max_len=6", "model.name=din", "model.width=8", "objective.name=bce"]
    words += ["evaluation.candidates=sampled", "evaluation.sampled_negatives=7", "evaluation.chunk_rows=32", "trainer.max_epochs=1"]
    words += [f"data.path={tiny_data(tmp_path / 'data')}", f"out={tmp_path / 'runs'}", "name=r", "trainer.accelerator=cpu"]
    run = train(load([], words))
    evaluate_run(run, "test", "best", detect())
    config = reopen(run)
    data = open_data(config)
    score, histories = load_network(config, data, find_checkpoint(run, "best"), detect()), build_histories(config, data, "test")
    targets, rivals = {}, {}
    for index in range(len(histories)):
        chunk = histories.chunk(index)
        pools = sampled_scores(score(chunk), chunk, negatives_of(config), filter_seen=True)
        for row, stratum in enumerate(chunk.stratum_B.tolist()):
            targets.setdefault(stratum, []).append(pools.target_N[row])
            rivals.setdefault(stratum, []).extend(pools.rival_NC[row][pools.real_NC[row]])
    facts = {"data": "d", "method": "m", "setting": "as-is", "seed": 0, "run": "r", "key": "k"}
    line = bench["pooled"].pooled_line(facts | {"test": {}}, tmp_path)
    assert line["phase"] == "pooled" and line.items() >= facts.items() and "test" not in line
    assert len(histories) > 1 and len(targets) == 3
    for stratum, mine in targets.items():
        assert line["groups"][f"stratum={stratum}"] == pytest.approx(
            pooled_auc(np.array(mine), np.array(rivals[stratum])), abs=1e-5
        )
    whole = pooled_auc(np.concatenate(list(targets.values())), np.concatenate(list(rivals.values())))
    assert line["groups"]["all"] == pytest.approx(whole, abs=1e-5)


GAIN, LOSS, NOTHING = (0.01, 0.02), (-0.02, -0.01), (-0.01, 0.01)


@pytest.mark.parametrize(
    ("theirs", "ours", "words"),
    [
        (GAIN, GAIN, "holds under both baselines"),
        (GAIN, NOTHING, "**holds under the paper's baseline and not under ours**"),
        (GAIN, LOSS, "**holds under the paper's baseline and not under ours**"),
        (NOTHING, NOTHING, "is not shown with the paper's own baseline, nor with ours"),
        (NOTHING, GAIN, "is not shown with the paper's own baseline; with ours it is shown"),
        (LOSS, NOTHING, "is reversed with the paper's own baseline, nor with ours"),
    ],
)
def test_findings(bench, theirs, ours, words):
    def cell(ends, seeds=3):
        return bench["cells"].Cell(0.1, 0.09, *ends, seeds)

    assert bench["cells"].finding(cell(theirs), cell(ours)) == words
    assert bench["cells"].finding(cell(theirs, 2), cell(ours)) == "too few seeds to say"
    assert bench["cells"].finding(None, cell(ours)) == "not measured under both baselines yet"


def run_line(phase, method, seed=0, **more):
    return {
        "phase": phase,
        "data": "music",
        "method": method,
        "setting": "as-is",
        "words": ["model.dropout=0.2"],
        "seed": seed,
        "key": f"{phase}-{method}-{seed}",
        "validation": {"all": {"ndcg@10": 0.0123}},
        "best_epoch": 7.0,
        "epochs": 9.0,
        "seconds": 61.0,
        "busy": 1.02,
        "commit": "abc",
        **more,
    }


def test_the_page_has_all_three_columns_and_says_what_is_missing(bench, tmp_path):
    claim, where = bench["tables"].CLAIMS["ltp-sasrec"], bench["work"].Bench(tmp_path, tmp_path, tmp_path)
    keys = [("existing", "hr@10"), ("new", "hr@10")]
    for side, ends in zip(claim.sides, ((0.001, 0.02), (-0.02, 0.001)), strict=True):
        ledger = where.ledger(claim, side)
        ledger.add(run_line("tune", "joint"))
        for method in ("joint", "ltp"):
            for seed in range(5):
                ledger.add(run_line("final", method, seed))
        ledger.add(summary("joint", dict.fromkeys(keys, (0.04, 0, 0, 0)), [0, 1, 2, 3, 4]) | {"data": "music"})
        ledger.add(summary("ltp", dict.fromkeys(keys, (0.05, 0.01, *ends)), [0, 1, 2, 3, 4]) | {"data": "music"})
    bench["page"].write_page(tmp_path / "papers.md", where)
    page = (tmp_path / "papers.md").read_text()
    part = page[page.index("## LTP's Table 3, SASRec") :]
    assert "| ltp | existing | 0.0605 (+14.2 %) | 0.0500 (+25.0 % [+2.5, +50.0]) | 0.0500 (+25.0 % [-50.0, +2.5]) |" in part
    assert "| joint | new | 0.0495 | 0.0400 | 0.0400 |" in part
    assert "* ltp, existing (printed: HR@10 0.053 to 0.0605): **holds under the paper's baseline and not under ours**." in part
    assert "Our base alone has 0.0400, ltp in their terms 0.0500." in part
    assert "**Incomplete**, of 5 seeds: the paper's loss: BCE: per-user-mean none, ltp-alignment none, ltp-adversarial none" in part
    assert "**Settings not tried yet**: the paper's loss: BCE: joint less-dropout; ours: softmax: joint less-dropout." in part
    assert "| the paper's loss: BCE | ltp | as-is | 5 | 7 of 9" in part and "`model.dropout=0.2`" in part
    assert "**Incomplete**" in page[: page.index("## LTP's Table 3, GRU4Rec")], "a claim without a line says so, too"
