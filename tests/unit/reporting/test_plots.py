"""Figures: binning and label placement are right, colours are readable, bytes repeat, hostile text is text."""

from __future__ import annotations

from functools import partial
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb

from ltrec.core.strata import Strata
from ltrec.evaluation.curves import Curve, averaged
from ltrec.reporting.plots.compare import ForestRow, forest
from ltrec.reporting.plots.grid import contrast, popularity_grid, readable
from ltrec.reporting.plots.strata import Series, activity_edges, activity_histogram, levels, metric_by_stratum, positions
from ltrec.reporting.plots.style import DARK, LIGHT, Image, shortened
from ltrec.reporting.plots.training import SeedCurve, loss_curves, spread, validation_curves
from tests.support.figures import refuse_blank

STRATA = Strata((1, 4, 9), (5, 5, 5), (9, 30, 90), 9)


def strata_of(bounds: tuple[int, ...], head_from: int) -> Strata:
    return Strata(bounds, (1,) * len(bounds), (1,) * len(bounds), head_from)


@settings(max_examples=60)
@given(st.lists(st.integers(1, 10**6), min_size=1, max_size=60), st.sets(st.integers(2, 2000), max_size=5), st.integers(1, 2000))
def test_every_user_is_in_a_bar_and_no_bar_crosses_a_cut(activity, bounds, head_from):
    strata = strata_of((1, *sorted(bounds)), head_from)
    values = np.array(activity)
    edges = activity_edges(values, strata)
    users, _ = np.histogram(values, bins=edges)
    assert users.sum() == len(values)
    for cut in (*strata.lower_bounds, head_from):
        assert cut in edges or not values.min() < cut <= values.max()
    assert all(a < b for a, b in pairwise(edges))


@pytest.mark.parametrize(
    ("bounds", "head_from", "expected"),
    [
        ((1, 4, 9), 9, ("tail", "tail", "head")),
        ((1, 4, 9), 6, ("tail", "both", "head")),
        ((1,), 3, ("both",)),
        ((1, 2), 1, ("head", "head")),
    ],
)
def test_positions_say_which_strata_the_head_cut_divides(bounds, head_from, expected):
    assert positions(strata_of(bounds, head_from)) == expected


@settings(max_examples=80)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=8), st.floats(0.001, 0.3))
def test_labels_keep_their_order_and_distance_and_stay_above_the_floor(heights, gap):
    placed = spread(heights, gap, floor=0.0)
    ranked = [placed[i] for i in sorted(range(len(heights)), key=lambda i: heights[i])]
    assert all(b - a >= gap * (1 - 1e-9) - 1e-12 for a, b in pairwise(ranked))
    assert min(ranked) >= 0


def test_labels_with_room_stay_where_their_lines_end():
    assert spread([0.9, 0.1, 0.5], 0.2, floor=0.0) == [0.9, 0.1, 0.5]
    assert spread([0.5, 0.5], 0.2, floor=0.0) == pytest.approx([0.4, 0.6])


@settings(max_examples=60)
@given(st.lists(st.floats(0, 1), max_size=8), st.floats(0.01, 0.5))
def test_labels_on_one_level_have_room(places, room):
    places = sorted(places)
    chosen = levels(places, room)
    for level in set(chosen):
        mine = [p for p, c in zip(places, chosen, strict=True) if c == level]
        assert all(b - a >= room for a, b in pairwise(mine))
    for i, level in enumerate(chosen):  # and none is higher than it must be
        for lower in range(level):
            assert any(places[i] - p < room for p, c in zip(places[:i], chosen[:i], strict=True) if c == lower)


def test_averaging_keeps_short_curves_and_the_mean_of_long_ones():
    short = Curve(np.arange(5.0), np.arange(5.0))
    assert averaged(short, 5) is short
    long = Curve(np.arange(600.0), np.random.default_rng(0).random(600))
    smooth = averaged(long, 60)
    assert len(smooth.x) == 60
    assert smooth.y.mean() == pytest.approx(long.y.mean())
    assert smooth.y[0] == pytest.approx(long.y[:10].mean())


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_text_colours_reach_wcag_aa(theme):
    for colour in (theme.ink, theme.muted, theme.head, theme.tail):
        assert contrast(to_rgb(colour), to_rgb(theme.paper)) >= 4.5
        assert contrast(to_rgb(colour), to_rgb(theme.panel)) >= 4.5


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_head_and_tail_differ_for_the_colour_blind(theme):
    # Vienot 1999 projections in linear RGB: what protanopes and deuteranopes see of a colour.
    protan = np.array([[0.11238, 0.88762, 0.0], [0.11238, 0.88762, -0.0], [0.00401, -0.00401, 1.0]])
    deutan = np.array([[0.29275, 0.70725, 0.0], [0.29275, 0.70725, -0.0], [-0.02234, 0.02234, 1.0]])
    for seen in (np.eye(3), protan, deutan):
        distance = np.linalg.norm(seen @ (np.array(to_rgb(theme.head)) ** 2.2) - seen @ (np.array(to_rgb(theme.tail)) ** 2.2))
        assert distance > 0.2


@given(st.tuples(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1)))
@settings(max_examples=50)
def test_text_on_any_tone_is_readable(tone):
    assert contrast(to_rgb(readable(tone)), tone) >= 4.5


def draw_activity() -> Image:
    return activity_histogram(np.array([1, 1, 2, 3, 5, 8, 13, 40]), STRATA)


def draw_strata(label: str = "model") -> Image:
    value = np.array([0.1, np.nan, 0.3])
    return metric_by_stratum(
        "NDCG@10", STRATA, [4, 0, 9], Series(label, value, value - 0.05, value + 0.05), [Series("other", value, value, value)]
    )


def draw_loss() -> Image:
    curve = Curve(np.arange(1.0, 4), np.array([3.0, 2, 1]))
    return loss_curves(curve, {0: curve, 2: Curve(np.empty(0), np.empty(0))}, ("1-3", "4-8", "9+"), "step")


def draw_validation() -> Image:
    curve = Curve(np.arange(1.0, 4), np.array([0.1, 0.3, 0.2]))
    return validation_curves("NDCG@10", curve, curve, None, "epoch")


def test_the_ring_is_around_the_best_that_counts():
    """With plugins that is the best of the second stage, whose checkpoint is best.ckpt."""
    curve = Curve(np.arange(1.0, 5), np.array([0.1, 0.4, 0.2, 0.3]))
    for asleep, best, kept in (
        (0, 2, "is best.ckpt."),
        (2, 4, "best.ckpt. The dotted line"),
        (4, 2, "stage1.ckpt, for plugins never"),
    ):
        image = validation_curves("NDCG@10", curve, None, None, "epoch", [SeedCurve(curve, asleep)])
        assert f"at epoch {best} and ends at 0.3000" in image.alt
        assert kept in image.caption


def draw_two_stages() -> Image:
    curve = Curve(np.arange(1.0, 4), np.array([0.1, 0.3, 0.2]))
    return validation_curves("NDCG@10", curve, curve, None, "epoch", [SeedCurve(curve, 1)])


def draw_seeds() -> Image:
    curve = Curve(np.arange(1.0, 4), np.array([0.1, 0.3, 0.2]))
    band = Curve(curve.x, curve.y, curve.y - 0.05, curve.y + 0.05)
    return validation_curves("NDCG@10", band, band, band, "epoch", [SeedCurve(curve, 0), SeedCurve(curve, 1)])


def draw_grid() -> Image:
    return popularity_grid(
        "NDCG@10", ("1-3", "4+"), ("0", "1+"), np.array([[np.nan, 0.1], [0.2, 0.4]]), np.array([[0, 40], [3, 50]])
    )


def draw_forest() -> Image:
    marks = [ForestRow("tail", 9, 0.1, -0.1, 0.3, "tail"), ForestRow("all", 1, 0.0, 0.0, 0.0)]
    return forest("against-x", "NDCG@10", marks, mine="y", other="x")


@pytest.mark.parametrize(
    "draw", [draw_activity, draw_strata, draw_loss, draw_validation, draw_two_stages, draw_seeds, draw_grid, draw_forest]
)
def test_a_figure_is_two_pngs_of_the_stated_size_on_their_papers(draw):
    refuse_blank(draw())


def test_the_same_values_give_the_same_bytes():
    assert draw_forest() == draw_forest()


def test_the_title_of_the_differences(monkeypatch):
    titles, plain = set(), Axes.set
    monkeypatch.setattr(Axes, "set", lambda axes, **given: (titles.add(given.get("title")), plain(axes, **given))[1])
    draw_forest()
    assert titles == {"Difference in NDCG@10"}


def test_alt_texts_hold_the_numbers():
    assert "tail: +0.1000 (-0.1000 to +0.3000, 9 users)" in draw_forest().alt and "1 user)" in draw_forest().alt
    assert "Seed 1 is best, 0.3000, at epoch 2" in draw_seeds().alt and "Lines are means over the seeds" in draw_seeds().caption
    assert "The head begins at 9 events and holds 2 users (25%)" in draw_activity().alt
    assert "1-3 events: 0.1000 (0.0500 to 0.1500); 9+ events: 0.3000" in draw_strata().alt  # and no word of the empty stratum
    assert "Overall is best, 0.3000, at epoch 2 and ends at 0.2000" in draw_validation().alt


def test_labels_that_look_like_formulas_are_drawn_as_text():
    image = draw_strata(label=r"$\frac{broken$ _{<b>")
    assert r"$\frac{broken$ _{<b>" in image.alt


@pytest.mark.parametrize("activity", [[7], [1, 1, 1], [2**31]])
def test_degenerate_activities_can_be_drawn(activity):
    partial(activity_histogram, np.array(activity), STRATA)()


def test_a_long_name_keeps_its_beginning_and_its_end():
    assert shortened("quickstart-74e57122", 14) == "quickst\N{HORIZONTAL ELLIPSIS}e57122"
    for length in range(1, 40):
        name = "".join(chr(97 + n % 26) for n in range(length))
        assert len(shortened(name, 14)) == min(length, 14) and shortened(name, 14)[-6:] == name[-6:]
