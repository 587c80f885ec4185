"""The report's words: sentences that hold in every case, singulars, signs, the strongest baseline."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ltrec.core.strata import Strata
from ltrec.evaluation.config import EvaluationConfig
from ltrec.evaluation.metrics import metric_name
from ltrec.evaluation.summary import Summary, summarise
from ltrec.evaluation.table import EvalTable
from ltrec.reporting.html import write_report
from ltrec.reporting.sentences import headline, lede, typeset
from tests.support.fake_run import fake_run
from tests.support.report_page import CONFIG, read, squeezed

pytestmark = pytest.mark.usefixtures("blank_figures")


def one_sided(run: Path, activity: int, **strata) -> Summary:
    """The fake table with every user at one activity."""
    table = EvalTable.read(run / "eval" / "test.parquet")
    rows = table.rows.slice(0, 20)
    column = rows.schema.get_field_index("activity")
    rows = rows.set_column(column, rows.schema.field(column), [np.full(20, activity, dtype=np.int32)])
    return summarise(replace(table, rows=rows, strata=Strata(**strata)), CONFIG)


def test_sentences_hold_when_one_side_is_empty(run):
    everyone = {"lower_bounds": (1,), "users": (20,), "events": (100,)}
    tail_only = one_sided(run, 5, **everyone, head_from=99)
    said = "".join(p.text for p in headline(tail_only))
    assert said.startswith("20 users reach NDCG@10 0.")
    assert said.endswith("all of them are tail users.")
    assert lede(tail_only) == ()
    empty = replace(tail_only, groups={k: replace(g, users=0) for k, g in tail_only.groups.items()})
    assert "Nobody with a history was evaluated" in headline(empty)[0].text


def test_words_for_metrics_and_people():
    assert [metric_name(k) for k in ("ndcg@10", "hr@5", "mrr", "auc", "tail_share@10")] == [
        "NDCG@10",
        "HR@5",
        "MRR",
        "AUC",
        "Tail share@10",
    ]


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("-0.0309 to -0.02", "\N{MINUS SIGN}0.0309 to \N{MINUS SIGN}0.02"),
        ("tail -37%, 95 %", "tail \N{MINUS SIGN}37\xa0%, 95\xa0%"),
        ("p = .003, p < .001, p = 1", "p\xa0=\xa0.003, p\xa0<\xa0.001, p\xa0=\xa01"),
        ("1-3 events of run-2, a--1 and lr1e-3", "1-3 events of run-2, a--1 and lr1e-3"),
    ],
)
def test_signs_are_typeset_and_names_are_let_be(text, printed):
    assert typeset(text) == printed


def test_a_run_alone_says_what_can_be_said_and_how_to_get_a_verdict(run):
    page = read(write_report([run], CONFIG))
    text = squeezed(page.text)
    assert "Without a baseline there is no verdict" in text
    assert f"ltrec report {run} BASELINE..." in text
    assert "The strongest baseline that needs no training is popularity (seen items left out), with NDCG@10" in text
    assert "Below it: last item (seen items stay in) 0." in text
    assert not [a for a in page.attributes("span") if "badge" in a.get("class", "")]


def test_the_strongest_baseline_may_be_the_last_item(run):
    table = EvalTable.read(run / "eval" / "baseline-last-item-test.parquet")
    column = table.rows.schema.get_field_index("rank")
    ones = table.rows.set_column(column, table.rows.schema.field(column), [np.ones(table.num_users, dtype=np.int32)])
    replace(table, rows=ones).write(run / "eval" / "baseline-last-item-test.parquet")
    text = squeezed(read(write_report([run], CONFIG)).text)
    assert "needs no training is last item (seen items stay in), with NDCG@10 1.0000" in text
    assert "so is below it for the tail and the head." in text
    assert "Strongest baseline: last item" in text


def test_one_is_singular_everywhere(tmp_path):
    """A data set of one event here, one user there: no `1 events`, `1 users`, `1 seeds` in text, words of images, or names."""
    lone = fake_run(tmp_path / "lone", users=40, cold=1)
    recorded = json.loads((lone / "provenance.json").read_text())
    recorded["hardware"] |= {"cpus": 1, "processes": 1}
    (lone / "provenance.json").write_text(json.dumps(recorded))
    for file in (lone / "eval").glob("*.parquet"):
        table = EvalTable.read(file)
        activity = np.where(np.arange(41) < 38, 1, np.where(np.arange(41) == 40, 0, 2)).astype(np.int32)
        strata = Strata((1, 2), (38, 2), (38, 4), 2)
        rows = table.rows
        for name, values in (("activity", activity), ("stratum", strata.of(activity)), ("history_length", activity)):
            index = rows.schema.get_field_index(name)
            rows = rows.set_column(index, rows.schema.field(index), [values])
        replace(table, rows=rows, strata=strata).write(file)
    page = read(write_report([lone], EvaluationConfig(bootstrap_samples=1)))
    said = squeezed(page.text) + " ".join(a.get("alt") or a.get("aria-label") or "" for _, a in page.tags)
    assert re.findall(r"(?<![\d.,+@-])1 (?!user reaches)[a-z ]*?(?:events|users|seeds|resamples|CPUs|processes)\b", said) == []
    assert "1 user had no history before the target" in said and "1 event" in said and "1 CPU, no GPU, 1 process" in said
