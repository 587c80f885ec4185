"""Several runs in one report: seeds gathered, scorers paired, what must not be compared refused."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from ltrec.core.errors import UserError
from ltrec.evaluation.gate_words import undecidable
from ltrec.evaluation.report import write_report
from ltrec.evaluation.report_run import read_run
from ltrec.evaluation.report_versus import experiments
from ltrec.evaluation.table import EvalTable
from tests.support.fake_run import fake_run
from tests.support.report_page import CONFIG, read, squeezed

pytestmark = pytest.mark.usefixtures("blank_figures")


def other_run(run: Path, name: str, **options) -> Path:
    other = fake_run(run.parent / name, users=260, **options)
    (other / "config.yaml").write_text(f"name: {name}\nseed: {options.get('seed', 1)}\nmodel:\n  name: other\n")
    return other


def test_two_runs_stand_side_by_side_and_are_compared_in_pairs(run):
    other = other_run(run, "lifted", seed=2, lift=2.0)
    page = read(write_report([other, run], CONFIG))
    text = squeezed(page.text)
    assert [a["id"] for a in page.attributes("h2")][1] == "runs"
    assert "Against plain" in text
    assert "Did the tail gain, and did the head pay, against plain?" in text
    assert "One training seed a side cannot tell the method from luck; train 2 more seeds." in text
    assert "the tail gained" not in text


def test_the_same_ranks_are_inconclusive_not_passed(run):
    other = Path(shutil.copytree(run, run.parent / "twin"))
    (other / "config.yaml").write_text("name: twin\nmodel:\n  name: other\n")
    text = squeezed(read(write_report([other, run], CONFIG)).text)
    assert "Pass" not in text
    assert "Tail: NDCG@10 +0.0000" in text


def test_where_nothing_would_decide_the_page_says_so_in_the_words_of_the_screen(run):
    plain = [run, *(fake_run(run.parent / f"plain-{s}", users=260, seed=s) for s in (2, 3))]
    twins = [other_run(run, f"twin-{s}", seed=s) for s in (1, 2, 3)]
    text = squeezed(read(write_report([*twins, *plain], CONFIG)).text)
    assert undecidable("tail") in text


def test_seeds_of_one_experiment_are_found_and_paired(run):
    plain = [run, *(fake_run(run.parent / f"plain-{s}", users=260, seed=s) for s in (2, 3))]
    lifted = [other_run(run, f"lifted-{s}", seed=s, lift=2.0) for s in (1, 2, 3)]
    found = experiments([read_run(p) for p in (*lifted, *plain)])
    assert [[r.name for r in e] for e in found] == [["lifted-1", "lifted-2", "lifted-3"], ["plain", "plain-2", "plain-3"]]
    text = squeezed(read(write_report([*lifted, *plain], CONFIG)).text)
    assert "against plain and 2 more seeds?" in text
    assert "Paired by seed (1, 2, 3)" in text
    assert "Spread over seeds" in text and "95 % intervals over users and seeds" in text
    assert "the tail gained" in text


def test_seeds_alone_are_held_against_each_other(run):
    again = fake_run(run.parent / "again", users=260, seed=2)
    text = squeezed(read(write_report([run, again], CONFIG)).text)
    assert "Did the tail gain, and did the head pay, against again (the same config, another seed)?" in text
    assert "these differences are chance" in text
    assert "this page rests on one" in text


def test_runs_of_other_data_are_refused(run):
    other = other_run(run, "elsewhere")
    table = EvalTable.read(other / "eval" / "test.parquet")
    replace(table, protocol=replace(table.protocol, manifest="0" * 64)).write(other / "eval" / "test.parquet")
    with pytest.raises(UserError, match="prepared data"):
        write_report([run, other], CONFIG)


def test_a_run_without_an_evaluation_cannot_be_compared(run):
    other = other_run(run, "raw")
    shutil.rmtree(other / "eval")
    with pytest.raises(UserError, match=r"raw has no eval/test\.parquet to compare; make it with 'ltrec evaluate"):
        write_report([run, other], CONFIG)
    with pytest.raises(UserError, match="has no evaluation to compare with"):
        write_report([other, run], CONFIG)
