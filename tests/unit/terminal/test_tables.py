import io
import re

import numpy as np
import pytest

from ltrec.cli.evaluation_tables import print_comparison, print_gate, print_summaries
from ltrec.evaluation.comparison.compare import compare
from ltrec.evaluation.comparison.gate import gate
from ltrec.evaluation.comparison.gate_text import FIX_SEEDS
from ltrec.evaluation.comparison.pairing import pair
from ltrec.evaluation.config import EvaluationConfig
from ltrec.evaluation.summary import summarise
from ltrec.terminal.screen import Screen
from tests.support.evaluation import eval_table

QUICK = EvaluationConfig(bootstrap_samples=200)


def shown(show, *values, width: int = 100) -> str:
    screen = Screen()
    screen.lines.file, screen.lines.width = io.StringIO(), width
    show(*values, screen)
    return screen.lines.file.getvalue()


def tables(users: int = 400, lift: float = 0.3, seeds: int = 3):
    activity = np.where(np.arange(users) % 5 == 0, 12, 3)
    made: list[list] = [[], []]
    for seed in range(seeds):
        draw = np.random.default_rng(seed)
        base = draw.integers(1, 60, users)
        other = np.where(draw.random(users) < lift, 1, base)
        made[0].append(eval_table(base, activity, seed=seed, name="sasrec"))
        made[1].append(eval_table(other, activity, seed=seed, name="pin"))
    return made


def test_summary_shows_groups_and_protocol_in_a_screenful():
    table = tables()[0][0]
    summary = summarise(table, QUICK)
    text = shown(print_summaries, {"sasrec": summary})
    assert "tail (under 9 events)" in text and "head (9+ events)" in text and "5-8 events" in text
    ndcg = summary.groups["head"].metrics["ndcg@10"]
    assert f"{ndcg.mean:.4f} [{ndcg.low:.4f}, {ndcg.high:.4f}]" in text
    assert "full ranking, seen items filtered, ties pessimistic" in text
    assert "beside the baselines" not in text
    assert len(text.splitlines()) <= 24


@pytest.mark.parametrize("width", [40, 60, 80, 120, 200])
@pytest.mark.parametrize("name", ["sasrec", "a" * 90, "[/x] " * 9])
def test_tables_fit_and_keep_every_headline_number_whole(width, name):
    base, other = tables(seeds=2)
    for table in base + other:
        table.source["name"] = name
    summary, found = summarise(base[0], QUICK), compare(base=base, other=other, config=QUICK)
    for text in (shown(print_summaries, {"a": summary, "b": summary}, width=width), shown(print_comparison, found, width=width)):
        rows = [row for row in text.splitlines() if not row.startswith(("full", name[:5]))]
        table_rows = [row for row in rows if re.search(r"\d\.\d{4}", row)]
        assert table_rows and max(map(len, table_rows)) <= width, text
    for key in ("all", "tail", "head"):
        change = found.groups[key].metrics["ndcg@10"].change
        assert f"{change.mean:+.4f}" in text
        if width >= 80:
            assert f"[{change.low:+.4f}, {change.high:+.4f}]" in text


def test_baselines_are_shown_beside_the_model():
    base, other = tables()
    text = shown(print_summaries, {"pin": summarise(other[0], QUICK), "sasrec": summarise(base[0], QUICK)})
    assert "NDCG@10 beside the baselines" in text


def test_groups_without_users_are_dashes():
    text = shown(print_summaries, {"none": summarise(eval_table([]), QUICK)})
    assert "nan" not in text and "-" in text


def test_comparison_shows_changes_and_seed_spread_only_with_seeds():
    base, other = tables(seeds=2)
    text = shown(print_comparison, compare(base=base, other=other, config=QUICK))
    assert "pin against sasrec, test split, mean of 2 seeds" in text
    assert "seed sd" in shown(print_comparison, compare(base=base, other=other, config=QUICK), width=120)
    single = shown(print_comparison, compare(base=base[:1], other=other[:1], config=QUICK))
    assert "seed sd" not in single and "one training seed: intervals cover users only" in single


@pytest.mark.parametrize(
    ("users", "lift", "told"),
    [
        (
            2000,
            0.3,
            ["Gate: PASS. pin against sasrec, 3 training seeds a side. The tail gained", "The head kept within the allowed 5%"],
        ),
        (60, 0.01, ["Gate: INCONCLUSIVE.", "which may be chance", FIX_SEEDS]),
        (60, 0.0, ["Gate: INCONCLUSIVE.", "More users alone, or more seeds alone (up to 1,000), would not decide the tail"]),
    ],
)
def test_the_verdict_is_a_sentence(users, lift, told):
    base, other = tables(users, lift)
    text = shown(print_gate, gate({"toy": pair(base=base, other=other)}, QUICK))
    assert all(part in text for part in told), text


def test_a_failure_and_what_would_decide():
    base, other = tables(2000, 0.3)
    text = shown(print_gate, gate({"toy": pair(base=other, other=base)}, QUICK))
    assert "Gate: FAIL." in text and "The tail lost" in text and "The head lost more than the allowed 5%" in text
    few = tables(60, 0.02)
    found = gate({"a": pair(base=few[0], other=few[1]), "b": pair(base=few[0], other=few[1])}, QUICK)
    text = shown(print_gate, found)
    assert "over 2 data sets, p-values adjusted by Holm" in text and "\na: inconclusive. pin against sasrec" in text
    assert "takes about" in text and "seeds (power 80%, if the effect is as seen)" in text


def test_one_seed_is_pointed_out_and_no_p_value_is_shown():
    base, other = tables(2000, 0.3, seeds=1)
    text = shown(print_gate, gate({"toy": pair(base=base, other=other)}, QUICK))
    assert "Gate: INCONCLUSIVE. pin against sasrec, 1 training seed a side. One training seed a side cannot tell" in text
    assert FIX_SEEDS in text and "So far the tail changed by" in text
    assert "p = " not in text and "gained" not in text
