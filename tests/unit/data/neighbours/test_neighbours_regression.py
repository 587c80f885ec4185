"""The regression of items on their sources: what it is for, its limits, and that memory and portions do not change it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltrec.core.errors import UserError
from ltrec.data.neighbours.config import NeighboursConfig
from ltrec.data.neighbours.count import count_neighbours, made_of
from ltrec.data.neighbours.regression import Regression
from ltrec.data.neighbours.ties import ONE
from tests.support.naive_neighbours import regressed
from tests.support.shards import User, write_dataset


def weights_of(M_VV, events_V, config):
    """The regression's weights as a matrix, fed item by item."""
    regression = Regression(events_V, config.ridge, config.sources, config.backward_share)
    for i in range(len(M_VV)):
        if (found := np.flatnonzero(M_VV[i])).size:
            regression.add(np.full(found.size, i), found, np.rint(M_VV[i, found] * ONE).astype(np.int64))
    B_VV = np.zeros(M_VV.shape)
    for source, item, weight in regression.weights():
        assert (B_VV[source, item] == 0).all()
        B_VV[source, item] = weight
    return B_VV


@st.composite
def counts(draw):
    """Counts of up to 12 items, as sparse as they come, and their events."""
    num_items = draw(st.integers(2, 12))
    cells = st.lists(st.integers(0, 3), min_size=num_items**2, max_size=num_items**2)
    M_VV = np.zeros((num_items + 1, num_items + 1))
    M_VV[1:, 1:] = np.array(draw(cells)).reshape(num_items, num_items) / 2
    np.fill_diagonal(M_VV, 0)
    events_V = np.concatenate([[0], draw(st.lists(st.integers(1, 30), min_size=num_items, max_size=num_items))])
    return M_VV, events_V


@given(counts(), st.integers(1, 12), st.sampled_from([40.0, 100.0, 1000.0]), st.sampled_from([0.0, 0.5, 1.0]))
def test_equal_to_one_inverse_an_item(case, sources, ridge, backward_share):
    M_VV, events_V = case
    config = NeighboursConfig(ridge=ridge, sources=sources, backward_share=backward_share)
    expected = np.maximum(regressed(M_VV, events_V, config), 0)
    np.testing.assert_allclose(weights_of(M_VV, events_V, config), expected, rtol=1e-6, atol=1e-9)


def test_small_portions_change_nothing(monkeypatch):
    draw = np.random.default_rng(0)
    M_VV = np.triu(draw.integers(0, 3, (40, 40)) * (draw.random((40, 40)) < 0.3), 1) / 2.0
    M_VV[0] = 0
    events_V, config = np.full(40, 30), NeighboursConfig(ridge=40, sources=40)
    whole = weights_of(M_VV, events_V, config)
    monkeypatch.setattr("ltrec.data.neighbours.regression._NUMBERS", 1)
    assert np.array_equal(weights_of(M_VV, events_V, config), whole)
    monkeypatch.setattr("ltrec.data.neighbours.regression._LEAST_HELD", 3)
    kept = Regression(events_V, config.ridge, 1, 0.5)
    for i in range(1, 40):
        found = np.flatnonzero(M_VV[i])
        kept.add(np.full(found.size, i), found, np.rint(M_VV[i, found] * ONE).astype(np.int64))
    strongest = {item: source for source, item, _ in kept.weights() for source, item in zip(source, item, strict=True)}
    assert strongest == {j: int(M_VV[:, j].argmax()) for j in range(40) if M_VV[:, j].any()}


def test_two_sources_that_always_come_together_share_what_counts_give_to_both(tmp_path):
    """1 and 2 precede 3 together; 4 precedes 5 alone and as often."""
    users = [User(f"u{i}", [1, 2, 3], 0, 3, -1, -1) for i in range(20)] + [
        User(f"u{20 + i}", [4, 5], 0, 2, -1, -1) for i in range(20)
    ]
    manifest = write_dataset(tmp_path, users, num_items=5)
    forward = {"gap_decay": 1.0, "backward_share": 0.0, "row_power": 0.0, "column_power": 0.0}
    counted, found = (count_neighbours(tmp_path, manifest, NeighboursConfig(**forward, ridge=r)) for r in (0, 1))
    assert counted.weight_VN[2, 0] == counted.weight_VN[4, 0] == 20
    assert found.weight_VN[4, 0] == pytest.approx(20 / 21)
    assert found.item_VN[2, 0] == 3 and found.weight_VN[2, 0] == pytest.approx(20 / 41)


def test_a_large_ridge_gives_the_order_of_counts(tmp_path):
    draw = np.random.default_rng(1)
    users = [User(f"u{i}", draw.permutation(12)[:6].tolist(), 0, 6, -1, -1) for i in range(30)]
    users = [User(u.name, [item + 1 for item in u.items], 0, 6, -1, -1) for u in users]
    manifest = write_dataset(tmp_path, users, num_items=12)
    plain = {"row_power": 0.0, "column_power": 0.0, "neighbours": 20}
    counted, found = (count_neighbours(tmp_path, manifest, NeighboursConfig(**plain, ridge=r)) for r in (0, 1e8))
    assert found.weight_VN.numpy() * 1e8 == pytest.approx(counted.weight_VN.numpy(), rel=1e-5)


def test_counts_are_identified_as_before(tmp_path):
    """By the options that there were before there was a regression, so that files of old runs are used."""
    manifest = write_dataset(tmp_path, [User("u1", [1, 2], 0, 2, -1, -1)], num_items=2)
    assert not {"ridge", "sources"} & made_of(manifest, NeighboursConfig()).keys()
    assert made_of(manifest, NeighboursConfig(ridge=7))["ridge"] == 7


def test_options_without_effect_or_solution_are_refused():
    with pytest.raises(ValueError, match="sources=7 has no effect with ridge=0"):
        NeighboursConfig(sources=7)
    regression = Regression(np.array([0, 1, 1, 2]), 1.0, 5, 0.0)
    for source, item in ((1, 2), (2, 1), (1, 3), (2, 3)):
        regression.add(np.array([source]), np.array([item]), np.array([ONE]))
    with pytest.raises(UserError, match="`ridge`=1 leaves a regression without a solution; set a larger one"):
        list(regression.weights())
