from ltrec.artefact.card import card
from ltrec.artefact.facts import Measurements
from ltrec.artefact.parity import Parity
from ltrec.evaluation.summary import summarise
from tests.support.evaluation import eval_table

FACTS = {
    "run": "mine",
    "model": "sasrec",
    "plugin": "memory",
    "created_by": {"ltrec": "1"},
    "checkpoint": {"name": "best", "sha256": "ab" * 32},
    "data": {"name": "shop", "items": 1234, "digest": "cd" * 32},
    "strata": {"lower_bounds": [1, 5, 9], "head_from": 9, "of_the_run": [1, 9], "served_by": [0, 1]},
    "max_len": 50,
    "protocol": {"candidates": "full"},
}


def test_says_what_is_known():
    summary = summarise(eval_table([1, 2, 30, 4], activity=[2, 6, 9, 12]))
    text = card(FACTS, Measurements(summary, ()), Parity(90, 1.5e-7, 0))
    assert "sasrec with memory" in text and "1,234 items" in text and "cd" * 32 in text
    assert "Strata begin at 1, 5, 9; head users at 9." in text and "begin at 1, 9 and are served by the plugins of 0, 1" in text
    assert "| all users | 4 |" in text and "90 real histories: scores differ by at most 1.5e-07" in text
    assert text.startswith("---\nlibrary_name: ltrec\n") and "last 50 items" in text


def test_says_what_is_not_known():
    assert "was not evaluated" in card({**FACTS, "plugin": "none"}, Measurements(None, ()), Parity(1, 0.0, 0))
