"""Several runs in one report: the answer first, seeds gathered into methods, what must not be compared refused."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ltrec.core.errors import UserError
from ltrec.evaluation.comparison.compare import compare
from ltrec.evaluation.comparison.gate import gate
from ltrec.evaluation.comparison.gate_text import head_test, share, tail_test, undecidable
from ltrec.evaluation.comparison.pairing import pair
from ltrec.evaluation.curves import Curve, mean_curve
from ltrec.evaluation.summary import summarise
from ltrec.evaluation.table import EvalTable
from ltrec.reporting.html import write_report
from ltrec.reporting.method import methods
from ltrec.reporting.run_results import read_run
from ltrec.reporting.sentences import typeset
from tests.support.fake_run import fake_run
from tests.support.report_page import CONFIG, read, squeezed

pytestmark = pytest.mark.usefixtures("blank_figures")
SEEDS = (1, 2, 3)


def plain(text: str) -> str:
    """The page's text with its signs as on a screen."""
    return squeezed(text.replace("\xa0", " ").replace("\N{MINUS SIGN}", "-"))


def other_run(run: Path, name: str, model: str = "other", **options) -> Path:
    other = fake_run(run.parent / name, users=260, **options)
    (other / "config.yaml").write_text(f"name: {name}\nseed: {options.get('seed', 1)}\nmodel:\n  name: {model}\n")
    return other


@pytest.fixture
def joint(run) -> list[Path]:
    return [fake_run(run.parent / f"joint-{s}", users=260, seed=s) for s in SEEDS]


def tables(runs: list[Path]) -> list[EvalTable]:
    return [EvalTable.read(run / "eval" / "test.parquet") for run in runs]


def heading(page) -> str:
    """The text of the h1."""
    return plain(page.text.partition("On this page")[0])


@pytest.mark.parametrize(
    ("lift", "tax", "word"), [(2.0, 0.0, "PASS"), (-0.6, 0.6, "FAIL"), (0.0, 0.0, "INCONCLUSIVE")], ids=["pass", "fail", "unsure"]
)
def test_the_first_line_is_the_answer(run, joint, lift, tax, word):
    mine = [other_run(run, f"pin-{s}", seed=s, lift=lift, tax=tax) for s in SEEDS]
    page = read(write_report([*mine, *joint], CONFIG))
    found = compare(base=tables(joint), other=tables(mine), config=CONFIG).groups
    first = {key: found[key].metrics["ndcg@10"].relative for key in ("tail", "head")}
    told = {key: f"{value:+.0%}" if abs(value) >= 0.0995 else f"{value:+.1%}" for key, value in first.items()}
    line = f"Tail {told['tail']}, head {told['head']} against joint: {word}".replace("%", " %")
    assert line in heading(page)
    assert "Against joint" in plain(page.text), "the comparison's section"
    [badge, *_] = [a["class"] for a in page.attributes("span") if "badge" in a.get("class", "")]
    assert badge == f"badge {word.lower()}"
    assert page.attributes("svg"), "an icon beside the word"
    interval = found["tail"].metrics["ndcg@10"].share()
    assert f"tail {interval.low:+.1%} to {interval.high:+.1%} (".replace("%", " %") in heading(page)
    assert f"{word}: Tail" in plain(page.text)  # the tab's title


def test_the_gate_has_the_figures_of_the_screen(run, joint):
    mine = [other_run(run, f"pin-{s}", seed=s, lift=-0.4, tax=0.3) for s in SEEDS]
    text = plain(read(write_report([*mine, *joint], CONFIG)).text)
    judged = gate({"data/ml-100k": pair(base=tables(joint), other=tables(mine))}, CONFIG)
    tail, head = judged.datasets[0].tail, judged.datasets[0].head
    for words in (
        tail_test(tail),
        head_test(head, judged),
        f"at worst {share(head.low, head.base)}",
        share(head.change, head.base),
    ):
        assert plain(typeset(words)) in text


def test_tables_of_several_seeds_hold_their_mean_interval_and_spread(run, joint):
    mine = [other_run(run, f"pin-{s}", seed=s, lift=1.0) for s in SEEDS]
    text = plain(read(write_report([*mine, *joint], CONFIG)).text)
    for runs in (mine, joint):
        found = summarise(tables(runs), CONFIG).groups["tail"].metrics["ndcg@10"]
        assert found.mean == pytest.approx(
            np.mean([summarise(t, CONFIG).groups["tail"].metrics["ndcg@10"].mean for t in tables(runs)])
        )
        assert f"{found.mean:.4f} {found.low:.4f}\N{EN DASH}{found.high:.4f} seeds \N{PLUS-MINUS SIGN}{found.spread:.4f}" in text
    assert "Paired by seed (1, 2, 3)" in text and "Spread over seeds" in text and "95 % intervals over users and seeds" in text
    assert "Seeds1, 2, 3" in text


def test_one_seed_is_inconclusive_and_shows_no_p_value(run):
    other = other_run(run, "lifted", seed=2, lift=2.0)
    page = read(write_report([other, run], CONFIG))
    text = heading(page)
    assert re.search(r"against plain: INCONCLUSIVE", text)
    assert "One training seed a side cannot tell the method from luck; train 2 more seeds." in text
    assert "So far the tail changed by +" in text
    assert "p = " not in text and "p < " not in text and "gained" not in text
    assert "runs" in [a["id"] for a in page.attributes("h2")]


def test_the_same_ranks_are_inconclusive_not_passed(run):
    other = Path(shutil.copytree(run, run.parent / "twin"))
    (other / "config.yaml").write_text("name: twin\nmodel:\n  name: other\n")
    text = heading(read(write_report([other, run], CONFIG)))
    assert "Tail +0.0 %, head +0.0 % against plain: INCONCLUSIVE" in text


def test_where_nothing_would_decide_the_page_says_so_in_the_words_of_the_screen(run, joint):
    twins = [other_run(run, f"twin-{s}", seed=s) for s in SEEDS]
    assert undecidable("tail") in plain(read(write_report([*twins, *joint], CONFIG)).text)


def test_among_several_baselines_the_strongest_answers_whatever_the_order(run, joint):
    mine = [other_run(run, f"pin-{s}", seed=s, lift=0.2) for s in SEEDS]
    strong = [other_run(run, f"best-{s}", "best", seed=s, lift=1.5) for s in SEEDS]
    for runs in ([*mine, *joint, *strong], [*mine, *strong, *joint]):
        text = heading(read(write_report(runs, CONFIG)))
        assert re.search(r"against best: FAIL", text)
        assert "best is the stronger of two baselines given here by NDCG@10 over all users" in text
        assert re.search(r"head [-+.\d]+ % against joint: [A-Z]+", text), "the other one has its line too"


def test_groups_too_small_to_judge_leave_no_verdict(run):
    other = other_run(run, "lifted", seed=2, lift=2.0)
    page = read(write_report([other, run], replace(CONFIG, head_from=10**6)))
    assert "No verdict against plain: NO VERDICT" in heading(page)
    assert "0 head users cannot be judged" in heading(page)


def test_seeds_of_one_method_are_found(run, joint):
    lifted = [other_run(run, f"lifted-{s}", seed=s, lift=2.0) for s in SEEDS]
    found = methods([read_run(p) for p in (*lifted, *joint)])
    assert [[r.name for r in m.runs] for m in found] == [["lifted-1", "lifted-2", "lifted-3"], ["joint-1", "joint-2", "joint-3"]]
    assert [m.label for m in found] == ["lifted (3 seeds)", "joint (3 seeds)"]


def test_seeds_of_a_second_stage_start_from_their_own_first_one(run, joint):
    for seed, path in zip(SEEDS, joint, strict=True):
        config = (path / "config.yaml").read_text()
        (path / "config.yaml").write_text(config + f"init_from: runs/trunk-{seed}/checkpoints/stage1.ckpt\n")
    other = other_run(run, "elsewhere", seed=2)
    (other / "config.yaml").write_text((joint[1] / "config.yaml").read_text().replace("trunk-2", "other-2"))
    found = methods([read_run(p) for p in (*joint, other)])
    assert [[r.name for r in m.runs] for m in found] == [["joint-1", "joint-2", "joint-3"], ["elsewhere"]]


def test_seeds_without_a_baseline_are_one_method_without_a_verdict(run, joint):
    text = plain(read(write_report(joint, CONFIG)).text)
    found = summarise(tables(joint), CONFIG)
    assert f"Tail users get NDCG@10 {found.groups['tail'].metrics['ndcg@10'].mean:.4f}" in text
    assert "Without a baseline there is no verdict" in text
    assert "this page rests on one" not in text and "and, of several seeds, others" in text
    assert "Every seed by itself" in text and "joint-2" in text


def test_a_seed_given_twice_is_refused(run, joint):
    with pytest.raises(UserError, match="every run needs a different seed"):
        write_report([*joint, joint[0]], CONFIG)


def test_curves_of_seeds_have_a_mean_and_a_band_and_say_where_seeds_ended():
    long, short = Curve(np.array([1.0, 2, 3]), np.array([1.0, 2, 3])), Curve(np.array([1.0, 2]), np.array([3.0, 6]))
    found = mean_curve([long, short])
    assert (found.x.tolist(), found.y.tolist()) == ([1, 2, 3], [2, 4, 3])
    assert (found.low.tolist(), found.high.tolist()) == ([1, 2, 3], [3, 6, 3])


def test_runs_of_other_data_are_refused(run):
    other = other_run(run, "elsewhere")
    table = EvalTable.read(other / "eval" / "test.parquet")
    replace(table, protocol=replace(table.protocol, manifest="0" * 64)).write(other / "eval" / "test.parquet")
    with pytest.raises(UserError, match="prepared data"):
        write_report([run, other], CONFIG)


def test_a_run_without_an_evaluation_cannot_be_compared(run):
    other = other_run(run, "raw")
    shutil.rmtree(other / "eval")
    with pytest.raises(UserError, match=r"raw has no eval/test\.parquet to compare; create it with 'ltrec evaluate"):
        write_report([run, other], CONFIG)
    with pytest.raises(UserError, match="has no evaluation to compare with"):
        write_report([other, run], CONFIG)


def test_the_page_has_one_head_cut(run):
    """With `evaluation.head_from` the groups, the facts and the histogram all divide where it says."""
    page = read(write_report([run], replace(CONFIG, head_from=7)))
    text = plain(page.text)
    assert "head (7+ events)" in text.lower() and "users with 7 training events or more" in text
    [histogram] = [a["alt"] for a in page.attributes("img") if a.get("alt", "").startswith("Histogram of")][:1]
    assert "The head begins at 7 events" in histogram
