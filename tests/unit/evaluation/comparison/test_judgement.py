"""A judgement is computed once and kept; it is read while it is true of the tables and settings at hand, and never beyond."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from ltrec.core.errors import UserError
from ltrec.evaluation.comparison import judgement as module
from ltrec.evaluation.comparison.compare import compare
from ltrec.evaluation.comparison.gate import gate
from ltrec.evaluation.comparison.judgement import Judgement, judge_runs
from ltrec.evaluation.comparison.pairing import pair
from ltrec.evaluation.config import EvaluationConfig
from tests.unit.evaluation.comparison.test_one_owner import figures, tables

QUICK = EvaluationConfig(bootstrap_samples=200)


@pytest.fixture
def sides(tmp_path):
    found = {}
    for name, start in (("pin", 50), ("joint", 0)):
        found[name] = [(tmp_path / table.name, table) for table in tables(name, start)]
        for folder, _ in found[name]:
            (folder / "eval").mkdir(parents=True)
    return found["pin"], found["joint"]


@pytest.fixture
def computed(monkeypatch):
    """How often something was judged."""
    times, own = [], module.judged
    monkeypatch.setattr(module, "judged", lambda *given: times.append(1) or own(*given))
    return times


def test_it_is_that_of_compare_and_gate_and_lies_in_the_first_seeds_folder(sides, tmp_path):
    ours, rivals = sides
    file, found = judge_runs(ours, rivals, QUICK)
    base, other = ([table for _, table in side] for side in (rivals, ours))
    assert found.comparison == compare(base=base, other=other, config=QUICK)
    assert figures(found.gate) == figures(gate({"x": pair(base=base, other=other)}, QUICK))
    assert file == tmp_path / "pin-1" / "eval" / "test-against-joint.json"
    kept = json.loads(file.read_text())
    assert kept["gate"]["verdict"] == found.gate.verdict and kept["digest"] == found.digest


def test_it_is_computed_once_in_whatever_order_runs_are_given(sides, computed):
    ours, rivals = sides
    first, again = judge_runs(ours, rivals, QUICK), judge_runs(ours[::-1], [rivals[i] for i in (1, 2, 0)], QUICK)
    assert again == first and len(computed) == 1


@pytest.mark.parametrize(
    "changed",
    [
        lambda table, _: (table.rows.set_column(9, "rank", table.rows["rank"].take(list(range(299, -1, -1)))), None),
        lambda table, _: (None, {**table.source, "checkpoint_sha256": "other"}),
        lambda _, config: (None, None, replace(config, head_margin=0.1)),
        lambda _, config: (None, None, replace(config, seed=1)),
        lambda _, config: (None, None, replace(config, head_from=20)),
    ],
    ids=["ranks", "checkpoint", "margin", "seed", "head"],
)
def test_stale_judgements_are_computed_again(sides, computed, changed):
    ours, rivals = sides
    file, before = judge_runs(ours, rivals, QUICK)
    rows, source, config = (*changed(ours[1][1], QUICK), QUICK)[:3]
    folder, table = ours[1]
    ours[1] = folder, replace(table, rows=table.rows if rows is None else rows, source=source or table.source)
    _, after = judge_runs(ours, rivals, config)
    assert len(computed) == 2 and after.digest != before.digest
    assert Judgement.from_dict({k: v for k, v in json.loads(file.read_text()).items() if k != "sha256"}) == after


@pytest.mark.parametrize("text", ["", "{}", "[1]", "\0", '{"digest": 3}'])
def test_a_damaged_file_is_written_again(sides, computed, text):
    file, first = judge_runs(*sides, QUICK)
    file.write_text(text)
    assert judge_runs(*sides, QUICK)[1] == first and len(computed) == 2
    file.write_text(file.read_text().replace('"verdict": "', '"verdict": "un'))
    assert judge_runs(*sides, QUICK)[1] == first and len(computed) == 3, "not even a digit may be changed"


def test_a_read_only_folder_is_not_an_error(sides, computed):
    (sides[0][0][0] / "eval").rmdir()
    (sides[0][0][0] / "eval").write_text("a file where a folder should be")
    assert judge_runs(*sides, QUICK)[1] == judge_runs(*sides, QUICK)[1] and len(computed) == 2


def test_groups_too_small_to_judge_are_compared_and_say_why_there_is_no_verdict(sides):
    file, found = judge_runs(*sides, replace(QUICK, head_from=10**6))
    assert found.gate is None and "0 head users cannot be judged" in found.refusal
    assert found.comparison.groups["all"].metrics and json.loads(file.read_text())["gate"] is None


def test_two_rivals_of_one_name_never_get_each_others_verdict(sides, tmp_path):
    ours, rivals = sides
    others = [
        (tmp_path / "elsewhere" / folder.name, table) for folder, table in zip([f for f, _ in rivals], tables("x", 90), strict=True)
    ]
    first, other = judge_runs(ours, rivals, QUICK)[1], judge_runs(ours, others, QUICK)[1]
    assert first.digest != other.digest and judge_runs(ours, rivals, QUICK)[1] == first


def test_a_run_given_twice_is_refused(sides):
    ours, rivals = sides
    with pytest.raises(UserError, match="every run needs a different seed"):
        judge_runs([*ours, ours[0]], rivals, QUICK)
