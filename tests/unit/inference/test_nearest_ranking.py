"""Lists by an index against those of all scores."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ltrec.core.errors import UserError
from ltrec.inference.lists import ListRules
from ltrec.inference.nearest import ranking as ranking_module
from ltrec.inference.nearest.graph import ItemGraph, instructions, library_version
from ltrec.inference.nearest.measure import Part, found_in, measure, sample_of
from ltrec.inference.nearest.options import IndexOptions
from ltrec.models.scoring import all_scores
from tests.support.evaluation import history_chunk, random_histories
from tests.support.nearest import item_table, last_item_states, lists_of, naive_best, nearest

ITEMS = 120
TABLE = item_table(ITEMS)


@pytest.mark.parametrize("filter_seen", [True, False])
@pytest.mark.parametrize("k", [1, 10, 119, 120])
def test_with_every_item_in_view_the_lists_are_those_of_all_scores(k, filter_seen):
    rules = ListRules(k, filter_seen)
    chunk = random_histories(40, ITEMS, chunk_rows=40).chunk(0)
    found = nearest(TABLE, rules, expansion=ITEMS, connectivity=64).best(chunk, None)
    assert lists_of(*found) == naive_best(TABLE, chunk, rules)
    value_BK, item_BK = found
    exact_BV = all_scores(last_item_states(TABLE)(chunk), TABLE)
    there = value_BK > -torch.inf
    assert torch.allclose(value_BK[there], exact_BV.gather(1, item_BK)[there], atol=1e-5), "scores are the model's own"


@pytest.mark.parametrize(("dtype", "least"), [("f32", 0.99), ("f16", 0.98), ("i8", 0.95)])
def test_few_items_in_view_find_most(dtype, least):
    table, rules = item_table(1500, 16, clusters=12), ListRules(10, True)
    chunk = random_histories(100, 1500, chunk_rows=100).chunk(0)
    found = lists_of(*nearest(table, rules, dtype=dtype).best(chunk, None))
    wanted = naive_best(table, chunk, rules)
    assert np.mean([len({*mine} & {*theirs}) / 10 for mine, theirs in zip(found, wanted, strict=True)]) >= least


@settings(max_examples=40)
@given(
    st.integers(1, 40).flatmap(
        lambda items: st.tuples(
            st.just(items),
            st.lists(st.lists(st.integers(1, items), min_size=1, max_size=8), min_size=1, max_size=6),
            st.sets(st.integers(1, items)),
            st.integers(1, items),
            st.lists(st.none() | st.lists(st.integers(0, items), max_size=5), min_size=6, max_size=6),
        )
    ),
    st.booleans(),
    st.booleans(),
)
def test_whatever_may_be_recommended(case, filter_seen, with_candidates):
    """Repeats in histories and candidates, items that are denied, lists longer than what is left, catalogues of one item."""
    items, seen, denied, k, wanted = case
    allowed = torch.ones(items + 1, dtype=torch.bool)
    allowed[[0, *denied]] = False
    rules = ListRules(k, filter_seen, allowed if denied else None)
    chunk, table = history_chunk(seen, [0] * len(seen)), item_table(items, 4)
    candidates = (
        [None if c is None else torch.tensor(c, dtype=torch.int64) for c in wanted[: len(seen)]] if with_candidates else None
    )
    found = nearest(table, rules, expansion=items, connectivity=64).best(chunk, candidates)
    assert lists_of(*found) == naive_best(table, chunk, rules, candidates)


def test_whoever_has_too_few_left_is_searched_again_and_then_ranked_exactly(monkeypatch):
    rules, seen = ListRules(10, True), [list(range(1, 101)), [5]]
    chunk, mine = history_chunk(seen, [0, 0]), nearest(TABLE, rules, expansion=ITEMS, connectivity=64)
    asked = []
    real = ItemGraph.search
    monkeypatch.setattr(ItemGraph, "search", lambda self, q, count, e: asked.append((len(q), count, e)) or real(self, q, count, e))
    monkeypatch.setattr(ranking_module, "_MORE", 2)
    assert lists_of(*mine.best(chunk, None)) == naive_best(TABLE, chunk, rules)
    assert asked == [(2, 36, 120), (1, 72, 240)] and mine.exact_users == 0
    none_left = history_chunk([list(range(1, ITEMS + 1))], [0])
    assert lists_of(*mine.best(none_left, None)) == [[]] and mine.exact_users == 1


def test_when_few_items_are_allowed_the_graph_is_not_asked(monkeypatch):
    allowed = torch.zeros(ITEMS + 1, dtype=torch.bool)
    allowed[[3, 50, 77]] = True
    rules, chunk = ListRules(2, True, allowed), history_chunk([[3], [1]], [0, 0])
    monkeypatch.setattr(ranking_module, "_MOST", 100)
    mine = nearest(TABLE, rules)
    monkeypatch.setattr(ItemGraph, "search", None)
    assert lists_of(*mine.best(chunk, None)) == naive_best(TABLE, chunk, rules) and mine.exact_users == 2


def test_equal_scores_are_in_the_order_of_ids():
    table = torch.zeros(41, 4)
    table[1:] = torch.tensor([1.0, 2.0, 3.0, 4.0])
    rules, chunk = ListRules(5, True), history_chunk([[2]], [0])
    assert lists_of(*nearest(table, rules, expansion=40, connectivity=64).best(chunk, [torch.arange(41)])) == [[1, 3, 4, 5, 6]]


def test_blocks_change_nothing(monkeypatch):
    rules, chunk = ListRules(10, True), random_histories(30, ITEMS, chunk_rows=30).chunk(0)
    mine = nearest(TABLE, rules)
    whole = mine.best(chunk, None)
    monkeypatch.setattr(ranking_module, "_BLOCK", 1)
    assert lists_of(*mine.best(chunk, None)) == lists_of(*whole)


def test_states_that_are_not_finite_are_refused():
    chunk, mine = history_chunk([[1], [2]], [0, 0]), nearest(TABLE, ListRules(3, True))
    mine.states = lambda chunk: torch.tensor([[0.0] * 8, [torch.nan] + [0.0] * 7])
    with pytest.raises(UserError, match="chunk 0: the scores of user 'u1' are NaN"):
        mine.best(chunk, None)


@pytest.mark.parametrize("dtype", ["f32", "f16", "i8"])
@pytest.mark.parametrize("items", [0, 1, 3])
def test_tiny_catalogues_give_what_there_is(items, dtype):
    graph = ItemGraph.build(np.zeros((items, 4), np.float32), IndexOptions(dtype=dtype), 1)
    found = graph.search(np.zeros((2, 4), np.float32), 5, 10)
    assert found.shape == (2, 5) and {*found.ravel().tolist()} - {0} == {*range(1, items + 1)} and len(graph) == items
    assert graph.search(np.ones((0, 4), np.float32), 5, 10).shape == (0, 5)


def test_one_thread_gives_the_same_file_every_time(tmp_path):
    for name in "ab":
        ItemGraph.build(TABLE[1:].numpy(), IndexOptions(threads=1), 1).save(tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_file_is_opened_as_it_was_saved_and_others_are_one_line(tmp_path):
    built = ItemGraph.build(TABLE[1:].numpy(), IndexOptions(dtype="i8"), 1)
    built.save(tmp_path / "g")
    opened, queries = ItemGraph.open(tmp_path / "g", 1), TABLE[1:9].numpy()
    assert len(opened) == ITEMS and instructions(opened) == instructions(built) and library_version()[0].isdigit()
    assert (opened.search(queries, 7, 20) == built.search(queries, 7, 20)).all()
    (tmp_path / "bad").write_bytes(b"no index")
    for name, says in (("bad", "cannot be read as an index"), ("none", "is missing")):
        with pytest.raises(UserError, match=says) as caught:
            ItemGraph.open(tmp_path / name, 1)
        assert "\n" not in str(caught.value)


def test_recall_by_part_counts_what_is_found():
    rules, table = ListRules(4, True), TABLE
    chunks = [random_histories(9, ITEMS, chunk_rows=9, seed=seed).chunk(0) for seed in (1, 2)]
    sample = sample_of(last_item_states(table), table, rules, chunks)
    first, odd = np.arange(18) < 5, sample.exact_NK % 2 == 1
    parts = [Part("first", "first users", first), Part("odd", "odd items", odd), Part("no", "nobody", np.zeros(18, bool))]
    whole = measure(sample, nearest(table, rules, expansion=ITEMS, connectivity=64), parts)
    assert whole.least == 1.0 and whole.recall["first"].items == 20 and whole.recall["odd"].items == odd.sum()
    assert whole.recall["no"].share == 1.0 and whole.exact_users == 0 and whole.speed_up > 0
    half = item_table(ITEMS, seed=3)
    other = measure(sample, nearest(half, rules, expansion=ITEMS), parts)
    assert 0.0 < other.recall["odd"].share < 1.0, "an index of other vectors misses items"
    assert found_in(np.array([[3, 4, 0]]), np.array([[4, 0, 9]])).tolist() == [[False, True, False]]
