"""Cosines in small multiples, weights and norms: drawn for any K, any number of runs, however little was logged."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ltrec.evaluation.curves import Curve
from ltrec.reporting.plots import style as plots
from ltrec.reporting.plots.gradients import (
    MAX_RUNS,
    Agreement,
    cosine_panels,
    last_tenth,
    norm_curves,
    reach,
    signed,
    weight_curves,
)
from tests.support.figures import refuse_blank

NAMES = ("1-3", "4-8", "9-20", "21-49", "50+")
NOTHING = Curve(np.empty(0), np.empty(0))


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(plots, "DPI", 100)


def agreement(strata: int, points: int, seed: int = 0, label: str = "run") -> Agreement:
    rng = np.random.default_rng(seed)
    x = np.arange(1.0, points + 1)
    cosines = {pair: Curve(x, rng.uniform(-0.6, 0.9, points)) for pair in combinations(range(strata), 2)}
    return Agreement(label, cosines, Curve(x, rng.random(points)))


@pytest.mark.parametrize(("strata", "points"), [(2, 1), (2, 300), (3, 1), (3, 7), (5, 300), (10, 40)])
def test_every_number_of_strata_and_points_can_be_drawn(strata, points):
    names = [f"{i}-{i}" for i in range(strata)]
    image = cosine_panels([agreement(strata, points)], names, "epoch")
    refuse_blank(image)
    assert all(f"{y}-{y} and {z}-{z} events" in image.alt for y, z in combinations(range(strata), 2))


def test_the_same_values_give_the_same_bytes_and_others_give_others():
    first, again, other = (cosine_panels([agreement(3, 40, seed)], NAMES[:3], "step") for seed in (0, 0, 1))
    assert first == again
    assert first.light != other.light


@pytest.mark.parametrize("strata", [2, 3])
def test_each_run_adds_a_line_and_a_name_up_to_the_last_dash_pattern(strata):
    runs = [agreement(strata, 30, seed, f"run-{seed} of a very long name indeed") for seed in range(MAX_RUNS + 2)]
    pictures = [cosine_panels(runs[:n], NAMES[:strata], "epoch") for n in range(1, MAX_RUNS + 3)]
    assert len({p.light for p in pictures}) == MAX_RUNS, "a run more is a picture more, until there are too many"
    assert pictures[-1] == pictures[MAX_RUNS - 1]
    assert pictures[0].alt.count("run-") == 1 and "Also drawn" not in pictures[0].caption
    assert f"run-{MAX_RUNS - 1} of" in pictures[-1].caption and f"run-{MAX_RUNS} of" not in pictures[-1].caption


def test_a_pair_that_was_never_there_leaves_its_panel_empty():
    whole = agreement(3, 30)
    holed = Agreement("holed", {pair: NOTHING if pair == (0, 2) else c for pair, c in whole.cosines.items()}, NOTHING)
    image = cosine_panels([holed, whole], NAMES[:3], "step")
    refuse_blank(image)
    assert "1-3 and 9-20" not in image.alt
    assert "1-3 and 4-8" in image.alt


def test_the_words_hold_the_numbers():
    curve = Curve(np.arange(20.0), np.array([0.5] * 18 + [-0.25, -0.35]))
    image = cosine_panels([Agreement("pin", {(0, 1): curve}, NOTHING)], ("tail", "head"), "epoch")
    assert "of pin. Over the last tenth of the curve: tail and head events: -0.300." in image.alt


@settings(max_examples=60)
@given(st.lists(st.lists(st.floats(-1, 1), min_size=1, max_size=200), min_size=1, max_size=4))
def test_the_axis_shows_both_sides_of_zero_and_nearly_all(values):
    curves = {(0, z): Curve(np.arange(float(len(v))), np.array(v)) for z, v in enumerate(values, 1)}
    low, high = reach([Agreement("run", curves, NOTHING)])
    assert -1.04 <= low < 0 < high <= 1.04
    everything = np.concatenate([c.y for c in curves.values()])
    assert ((everything >= low) & (everything <= high)).mean() >= 0.9


@pytest.mark.parametrize("draw", [weight_curves, norm_curves])
def test_weights_and_norms_are_lines_from_tail_to_head(draw):
    x = np.arange(1.0, 90)
    image = draw({z: Curve(x, 0.2 + 0.1 * z + 0 * x) for z in (0, 1, 4)}, NAMES, "epoch")
    refuse_blank(image)
    assert "1-3 events 0.2 to 0.2; 4-8 events 0.3 to 0.3; 50+ events 0.6 to 0.6" in image.alt
    assert draw({0: Curve(np.array([1.0]), np.array([0.5]))}, NAMES[:1], "step") == draw(
        {0: Curve(np.array([1.0]), np.array([0.5]))}, NAMES[:1], "step"
    )


def test_negative_weights_are_within_the_picture():
    curve = Curve(np.array([1.0, 2]), np.array([0.5, -0.5]))
    flat = Curve(np.array([1.0, 2]), np.array([0.5, 0.5]))
    refuse_blank(weight_curves({0: curve, 1: flat}, NAMES[:2], "step"))
    assert weight_curves({0: curve}, NAMES[:1], "step").light != weight_curves({0: flat}, NAMES[:1], "step").light


@pytest.mark.parametrize(
    ("value", "decimals", "text"),
    [(0.25, 2, "+0.25"), (-0.25, 2, "\N{MINUS SIGN}0.25"), (-0.001, 2, "0.00"), (0.0, 1, "0.0"), (1, 1, "+1.0")],
)
def test_signs(value, decimals, text):
    assert signed(value, decimals) == text


def test_the_last_tenth_holds_a_point_at_least():
    assert last_tenth(Curve(np.arange(3.0), np.array([1.0, 2, 3]))) == 3
    assert last_tenth(Curve(np.arange(40.0), np.arange(40.0))) == pytest.approx(37.5)
