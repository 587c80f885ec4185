"""The report's section on gradients: there for stratified runs alone, with the numbers of metrics.jsonl."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from ltrec.evaluation.table import EvalTable
from ltrec.reporting.html import write_report
from ltrec.reporting.method import SeedHistories
from ltrec.reporting.run_results import read_run
from ltrec.reporting.sections.gradients import ALONE, NO_GRAM, num_strata
from tests.support.fake_run import stratify
from tests.support.report_page import CONFIG, read, squeezed

pytestmark = pytest.mark.usefixtures("blank_figures")


def headings(page) -> list[str]:
    return [a["id"] for a in page.attributes("h2")]


def test_a_joint_run_has_no_such_section(run):
    page = read(write_report([run], CONFIG))
    assert "gradients" not in headings(page)
    assert num_strata(SeedHistories((read_run(run).history,))) == 0


@pytest.mark.parametrize("gram", [1, 40], ids=["every step", "probed"])
def test_the_section_holds_figures_table_and_words(run, gram):
    index = write_report([stratify(run, gram=gram)], CONFIG)
    page = read(index)
    order = headings(page)
    assert order[order.index("training") + 1] == "gradients"
    assert {"cosines.png", "weights.png", "gradient-norms.png", "cosines-dark.png"} <= {p.name for p in index.parent.iterdir()}
    text = squeezed(page.text)
    assert "Of the pairs of strata, 100 % pulled against each other in the last tenth of training, 0 % in the first." in text
    assert "as noisy as one of 321 equally weighted examples; a step holds 510." in text
    assert "StratumExamples a stepSteps withoutLossWeightGradient norm" in text
    names = read_run(run).tables["test"].strata.names()
    assert f"{names[0]}100.025.0 %" in text
    assert f"{names[4]}104.00.0 %" in text
    assert "skipped" not in text


def test_without_a_gram_matrix_the_page_says_how_to_get_one(run):
    text = squeezed(read(write_report([stratify(run, gram=0)], CONFIG)).text)
    assert text.count(NO_GRAM) == 2
    assert "Effective sample size" in text
    assert "pulled against each other" not in text


def test_skipped_steps_are_told(run):
    text = squeezed(read(write_report([stratify(run, **{"strata/skipped": 2.0})], CONFIG)).text)
    lines = sum("train/loss" in line for line in read_run(run).history.lines)
    assert f"Steps skipped because a gradient was not a finite number: {2 * lines}." in text


def test_one_stratum_has_no_pairs_and_other_strata_have_made_up_names(run):
    text = squeezed(read(write_report([stratify(run, strata=1)], CONFIG)).text)
    assert ALONE in text
    assert "stratum 0100.0" in text


def test_merged_strata_are_called_what_they_cover(run):
    """Two strata of five: the run says which, or the first two of the data set's would lend their names."""
    stratify(run, strata=2)
    path = run / "provenance.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"training_strata": ["1-139", "140+"]}))
    text = squeezed(read(write_report([run], CONFIG)).text)
    assert "1-139100.025.0 %" in text and "140+101.00.0 %" in text


def test_further_stratified_runs_are_drawn_into_the_panels(run):
    names = ("also", "joint", "fewer", "unprobed")
    also, joint, fewer, unprobed = (Path(shutil.copytree(run, run.parent / name)) for name in names)
    for other in (also, joint, fewer, unprobed):
        (other / "config.yaml").write_text(f"name: {other.name}\nmodel:\n  name: {other.name}\n")
    stratify(run), stratify(also, gram=7), stratify(fewer, strata=2), stratify(unprobed, gram=0)
    page = read(write_report([run, also, joint, fewer, unprobed], CONFIG))
    [alt] = [a["alt"] for a in page.attributes("img") if a["alt"].startswith("Cosine")]
    assert f"of {run.name}." in alt
    assert alt.endswith("Also drawn: also.")
    assert "gradients" not in headings(read(write_report([joint, run], CONFIG))), "the section is about the run in question"


def test_seeds_of_one_method_are_means_with_their_ends(run):
    """Not the first seed's: the second pulls twice as often and has twice the examples."""
    again = stratify(Path(shutil.copytree(run, run.parent / "again")), strata=2)
    stratify(run, strata=2)
    (again / "config.yaml").write_text((run / "config.yaml").read_text().replace("seed: 1", "seed: 2").replace("plain", "again"))
    lines = [json.loads(line) for line in (again / "metrics.jsonl").read_text().splitlines()]
    for line in lines:
        line |= {key: 2 * value for key, value in line.items() if key.startswith("strata/count/")}
        line |= {"strata/conflict": 0.5} if "strata/conflict" in line else {}
    (again / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    for file in (again / "eval").glob("test.parquet"):
        table = EvalTable.read(file)
        replace(table, source=table.source | {"seed": 2}).write(file)
    text = squeezed(read(write_report([run, again], CONFIG)).text)
    assert "150.0 100.0\N{EN DASH}200.0" in text
    assert "75 % pulled against each other in the last tenth of training, 25 % in the first" in text
    assert "a step holds 302." in text
    assert "means over seeds, in small print the lowest and the highest" in text
