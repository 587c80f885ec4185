"""One figure per question: it hangs on the users and their ranks alone, not on names, order, or who asks."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from ltrec.evaluation.comparison.compare import Comparison, compare
from ltrec.evaluation.comparison.gate import gate
from ltrec.evaluation.comparison.pairing import pair
from ltrec.evaluation.comparison.verdict import Gate
from ltrec.evaluation.config import EvaluationConfig
from ltrec.evaluation.summary import summarise
from tests.support.evaluation import BOUNDS, HEAD_FROM, eval_table

QUICK = EvaluationConfig(bootstrap_samples=400)
USERS = 300
assert BOUNDS[-1] == HEAD_FROM, "the last stratum is the head"


def tables(name: str, start: int, **options):
    """Three seeds; ranks and activities of every kind."""
    activity = np.random.default_rng(1).choice([1, 3, 5, 8, 9, 30], USERS)
    ranks = [np.random.default_rng(start + seed).geometric(0.06, USERS) for seed in (1, 2, 3)]
    return [eval_table(rank, activity, seed=seed, name=f"{name}-{seed}", **options) for seed, rank in enumerate(ranks, 1)]


def figures(found: Gate) -> list:
    return [(d.tail, d.head, d.verdict, d.seeds) for d in found.datasets]


def test_names_and_order_of_runs_change_no_digit_of_the_gate():
    base, other = tables("joint", 0), tables("pin", 50)
    wanted = gate({"beauty": pair(base=base, other=other)}, QUICK)
    turned = gate({"/elsewhere/b": pair(base=base[::-1], other=[other[i] for i in (1, 2, 0)])}, QUICK)
    renamed = [replace(t, source={**t.source, "name": f"x{i}"}) for i, t in enumerate(other)]
    assert figures(turned) == figures(wanted)
    assert (turned.datasets[0].base, turned.datasets[0].other) == ("joint", "pin")
    assert figures(gate({"beauty": pair(base=base, other=renamed)}, QUICK)) == figures(wanted)


def test_names_and_order_of_runs_change_no_digit_of_summary_and_comparison():
    base, other = tables("joint", 0), tables("pin", 50)
    there, here = (compare(base=b, other=o, config=QUICK).to_dict() for b, o in ((base, other), (base[::-1], other[::-1])))
    assert there == here
    assert summarise(base, QUICK).to_dict() == summarise(base[::-1], QUICK).to_dict()


def test_the_table_of_differences_and_the_gate_have_one_p_value():
    paired = pair(base=tables("joint", 0), other=tables("pin", 50))
    shown = compare(base=paired.base, other=paired.other, config=QUICK).groups["tail"].metrics["ndcg@10"]
    assert gate({"toy": paired}, QUICK).datasets[0].tail.p == shown.p_gain


@pytest.mark.parametrize("seeds", [1, 3])
def test_the_same_users_have_the_same_interval(seeds):
    """The head and the stratum that holds exactly its users, in every metric; and a grid whose one column holds everybody."""
    runs = tables("joint", 0)[:seeds]
    found = summarise(runs, replace(QUICK, item_shares=(0.999,)))
    assert found.groups["head"].metrics == found.groups["stratum=2"].metrics
    assert found.grid.users_KP.shape[1] == 1
    for k, stratum in enumerate(found.strata()):
        cell = (found.grid.mean_KP[k, 0], found.grid.low_KP[k, 0], found.grid.high_KP[k, 0])
        assert cell == (stratum.metrics["ndcg@10"].mean, stratum.metrics["ndcg@10"].low, stratum.metrics["ndcg@10"].high)
    compared = compare(base=runs, other=tables("pin", 50)[:seeds], config=QUICK)
    assert compared.groups["head"].metrics == compared.groups["stratum=2"].metrics


def test_comparison_and_gate_come_back_from_json_as_they_were():
    paired = pair(base=tables("joint", 0), other=tables("pin", 50))
    compared, judged = compare(base=paired.base, other=paired.other, config=QUICK), gate({"toy": paired}, QUICK)
    again = Comparison.from_dict(json.loads(json.dumps(compared.to_dict(), sort_keys=True)))
    assert list(again.groups) == list(compared.groups) and again == compared
    assert Gate.from_dict(json.loads(json.dumps(judged.to_dict(), sort_keys=True))) == judged
    single = compare(base=paired.base[:1], other=paired.other[:1], config=QUICK)
    read = Comparison.from_dict(json.loads(json.dumps(single.to_dict())))
    assert repr(read) == repr(single), "NaN, which equals nothing, came through"
