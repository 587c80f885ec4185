"""Columns of the synthetic log predict as much as their docstring claims, or nothing."""

import numpy as np
import pyarrow.compute as pc
import pytest

from ltrec.data.fetch.events import EVENTS, ITEMS
from ltrec.data.fetch.synthetic import SyntheticConfig, describe, generate, generate_log
from ltrec.data.fetch.synthetic_columns import draw_columns
from ltrec.data.fetch.synthetic_walk import head_share

SHAPE = {"users": 4000, "items": 400, "seed": 3}
PLAIN = ["user_id", "item_id", "timestamp"]


class Steps:
    """Two events of a user, one after the other, with the columns of the first: arrays over the steps."""

    def __init__(self, tables):
        events, items = tables[EVENTS], tables[ITEMS]
        user = pc.rank(events["user_id"], tiebreaker="dense").to_numpy().astype(int)
        order = np.argsort(user, kind="stable")
        user, item = user[order], pc.index_in(events["item_id"].cast("string"), items["item_id"].combine_chunks()).to_numpy()[order]
        category = pc.rank(items["category"], tiebreaker="dense").to_numpy()[item].astype(int) - 1
        self.categories = category.max() + 1
        self.activity = np.bincount(user)[user]
        at = np.flatnonzero(user[1:] == user[:-1])
        self.dear = events["price"].to_numpy()[order] > 30
        self.next_dear = self.dear[at + 1]
        self.dear, self.activity = self.dear[at], self.activity[at]
        self.dwell = events["dwell"].to_numpy()[order][at]
        self.purchase = (events["event_type"].to_numpy(zero_copy_only=False)[order] == "purchase")[at]
        self.moved = (category[at + 1] - category[at]) % self.categories

    @property
    def predictable(self):
        """Whether the next category is the one that category and event type predict."""
        return self.moved == self.purchase


@pytest.fixture(scope="module")
def informative():
    return Steps(generate_log(SyntheticConfig(**SHAPE, columns="informative", category_share=0.6)))


@pytest.fixture(scope="module")
def noise():
    return Steps(generate_log(SyntheticConfig(**SHAPE, columns="noise", category_share=0.6)))


def test_a_log_without_columns_is_what_it_was():
    config = SyntheticConfig(users=50, items=40, seed=7, events_per_user=6)
    tables = generate_log(config)
    assert list(tables) == [EVENTS]
    assert tables[EVENTS].column_names == PLAIN
    assert "columns" not in describe(config)
    assert generate(SyntheticConfig(users=50, items=40, seed=7, events_per_user=6, category_share=0.9)).equals(tables[EVENTS])


def test_the_share_of_predictable_steps_is_the_configured_one(informative):
    """For an interested user, 1 - h(q) of the steps; for others, as many as by chance."""
    interested, few = informative.dwell > 22, informative.activity <= 6
    chance = 1 / informative.categories
    assert interested.mean() == pytest.approx(0.6, abs=0.01)
    assert informative.predictable[~interested].mean() < 3 * chance
    least = informative.predictable[interested & few].mean()
    quantile = (np.arange(4000) + 0.5) / 4000  # users of up to six events are the least active half or so
    expected = 1 - head_share(quantile[quantile < 0.5]).mean()
    assert least == pytest.approx(expected, abs=0.05)


def test_what_columns_predict_grows_as_histories_shorten(informative):
    cuts = [(2, 5), (6, 8), (9, 20), (40, 10_000)]
    shares = [informative.predictable[(informative.activity >= low) & (informative.activity <= high)].mean() for low, high in cuts]
    assert shares == sorted(shares, reverse=True)
    assert shares[0] > 0.5
    assert shares[-1] < 0.25


def test_purchases_predict_another_category_than_views(informative):
    few = informative.activity <= 8
    for purchase, there in ((True, 1), (False, 0)):
        moved = informative.moved[few & (informative.purchase == purchase)]
        assert (moved == there).mean() > 0.45
        assert (moved == 1 - there).mean() < 0.1


def test_the_price_class_stays_in_predictable_steps(informative):
    """A predictable step keeps its class always; of the rest half do."""
    kept = informative.dear == informative.next_dear
    few, interested = informative.activity <= 6, informative.dwell > 22
    assert kept[few & interested & informative.predictable].mean() > 0.97
    assert kept[~interested].mean() == pytest.approx(0.5, abs=0.05)


def test_noise_is_the_same_log_without_information(noise):
    tables = [generate_log(SyntheticConfig(**SHAPE, columns=columns, category_share=0.6)) for columns in ("informative", "noise")]
    assert tables[0][EVENTS].select(PLAIN).equals(tables[1][EVENTS].select(PLAIN))
    for name in ("event_type", "dwell"):
        assert sorted(tables[0][EVENTS][name].to_pylist()) == sorted(tables[1][EVENTS][name].to_pylist())
    assert tables[0][ITEMS]["item_id"].equals(tables[1][ITEMS]["item_id"])
    assert sorted(tables[0][ITEMS]["category"].to_pylist()) == sorted(tables[1][ITEMS]["category"].to_pylist())
    chance = 1 / noise.categories
    for group in (noise.activity <= 6, noise.activity > 60, noise.dwell > 22, noise.purchase):
        assert noise.predictable[group].mean() < 2.5 * chance
    assert (noise.dear == noise.next_dear)[noise.dwell > 22].mean() == pytest.approx(0.5, abs=0.06)


@pytest.mark.parametrize("columns", ["informative", "noise"])
def test_new_items_are_last_events_of_users_with_two_different_ones_before(columns):
    config = SyntheticConfig(**SHAPE, columns=columns, new_items=50)
    tables = generate_log(config)
    rows = tables[EVENTS].select(PLAIN).to_pylist()
    known = set(tables[ITEMS]["item_id"].to_pylist())
    assert len(known) == config.items + config.new_items
    histories = {}
    for row in rows:
        histories.setdefault(row["user_id"], []).append(row)
    met = 0
    for history in histories.values():
        *before, last = history
        assert not [row for row in before if row["item_id"] >= "i400"]
        if last["item_id"] >= "i400":
            met += 1
            assert len({(row["item_id"], row["timestamp"]) for row in before}) >= 2
            assert last["timestamp"] > before[-1]["timestamp"]
    long = sum(len(history) >= 3 for history in histories.values())
    assert met == pytest.approx(0.1 * long, rel=0.2)
    assert not [row for row in generate(SyntheticConfig(**SHAPE, columns=columns)).to_pylist() if row["item_id"] >= "i400"]


def test_new_items_lie_where_a_predictable_step_would_lead():
    config = SyntheticConfig(**SHAPE, columns="informative", new_items=50)
    steps, tables = Steps(generate_log(config)), generate_log(config)
    events = tables[EVENTS]
    user = pc.rank(events["user_id"], tiebreaker="dense").to_numpy().astype(int)
    order = np.argsort(user, kind="stable")
    user = user[order]
    at = np.flatnonzero(user[1:] == user[:-1])
    new = pc.greater_equal(events["item_id"].cast("string"), "i400").to_numpy()[order][at + 1]
    assert new.sum() > 100
    assert steps.predictable[new].all()


def test_a_segment_without_items_predicts_nothing():
    rng = np.random.Generator(np.random.PCG64(0))
    columns = draw_columns(10, 0, 1.0, np.array([0.1]), np.array([3]), rng)
    assert (columns.new.draw(np.arange(4), rng.random(4)) == -1).all()
    assert columns.old.draw(np.arange(4), np.array([0.0, 0.5, 0.99, 0.999])).min() >= 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"columns": "some"}, "columns must be one of none, informative, noise; got 'some'"),
        ({"columns": "noise", "category_share": 1.1}, "category_share must be"),
        ({"columns": "noise", "new_items": -1}, "new_items must be"),
        ({"new_items": 5}, "new_items is 5, but only columns can identify new items"),
    ],
)
def test_impossible_columns_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        SyntheticConfig(**change)
