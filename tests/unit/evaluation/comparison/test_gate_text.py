"""The gate in words: the p-value of each side says whose it is, the names are those of methods, the figures those of any caller."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ltrec.evaluation.comparison.compare import compare
from ltrec.evaluation.comparison.gate import gate
from ltrec.evaluation.comparison.gate_text import FIX_SEEDS, deciding, head_test, probability, share, tail_shows, tail_test
from ltrec.evaluation.comparison.naming import common_name
from ltrec.evaluation.comparison.pairing import pair
from ltrec.evaluation.comparison.verdict import Gate, Side
from ltrec.evaluation.config import EvaluationConfig
from tests.support.evaluation import eval_table

QUICK = EvaluationConfig(bootstrap_samples=300)
SIDE = Side(users=10, base=0.1, change=-0.037, low=-0.04, high=-0.03, p=0.0031, verdict="fail")


@pytest.mark.parametrize(
    ("p", "text"),
    [(0.0031, "p = .003"), (0.05, "p = .050"), (1e-4, "p < .001"), (0.001, "p = .001"), (0.9994, "p > .999"), (1.0, "p = 1")],
)
def test_a_p_value_has_three_digits(p, text):
    assert probability(p) == text


def test_each_side_says_what_its_p_value_is_of():
    assert tail_test(SIDE) == "p = .003 that the tail does not gain"
    assert head_test(SIDE, Gate("ndcg@10", 0.05, (), "fail")) == "p = .003 that the head loses more than 5%"


def test_changes_are_shares_of_the_base_or_absolute_if_it_is_zero():
    assert tail_shows(SIDE, "NDCG@10") == "The tail lost 37.0% NDCG@10"
    assert (share(0.002, 0.1), share(-0.02, 0.0)) == ("+2.0%", "-0.0200")


def run(name: str, seed: int, ranks: list[int], **protocol):
    table = eval_table(ranks, [3, 3, 3, 12, 12, 12] * (len(ranks) // 6), seed=seed, name=name)
    return replace(table, protocol=replace(table.protocol, **protocol))


def sides(**protocol):
    base = [run(f"joint-{s}", s, [1, 2 + s, 30, 2, 9, 4] * 5, **protocol) for s in (1, 2, 3)]
    other = [run(f"pin-{s}", s, [9, 3, 1 + s, 1, 8, 5] * 5, **protocol) for s in (1, 2, 3)]
    return pair(base=base, other=other)


def test_methods_are_named_by_the_common_part_of_their_runs():
    found = gate({"toy": sides()}, QUICK).datasets[0]
    assert (found.base, found.other) == ("joint", "pin")
    paired = sides()
    compared = compare(base=paired.base, other=paired.other, config=QUICK)
    assert (compared.base, compared.other) == ("joint", "pin")


@pytest.mark.parametrize(
    ("names", "name"),
    [
        (["joint-1"], "joint-1"),
        (["joint-1", "joint-2"], "joint"),
        (["joint-10", "joint-11", "joint-12"], "joint"),
        (["run", "run-2"], "run"),
        (["a_seed0", "a_seed1"], "a"),
        (["a-s1", "a-s2"], "a"),
        (["pins1", "pins2"], "pins"),
        (["lr1-a", "lr1-b"], "lr1"),
        (["x", "y", "z"], "x and 2 more"),
        (["popularity"] * 3, "popularity"),
    ],
)
def test_names_of_seeds_share_the_name_of_their_method(names, name):
    assert common_name(names) == name


def test_only_undecided_sides_say_what_would_decide():
    found = gate({"toy": sides()}, EvaluationConfig(bootstrap_samples=300)).datasets[0]
    unsure = replace(found, tail=replace(SIDE, verdict="inconclusive", seeds_to_decide=1, users_to_decide=1), head=SIDE)
    ways = "To decide the tail takes about 1 user in all or 1 seed (power 80%, if the effect is as seen)."
    assert deciding(unsure) == (ways, FIX_SEEDS) and deciding(replace(unsure, tail=SIDE)) == ()


def test_the_change_as_a_share_keeps_its_interval():
    paired = sides()
    tail = compare(base=paired.base, other=paired.other, config=QUICK).groups["tail"].metrics["ndcg@10"]
    assert tail.share().mean == pytest.approx(tail.relative)
    assert tail.share().low == pytest.approx(tail.change.low / tail.base)
