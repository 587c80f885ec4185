"""The small memory: computes once, keeps a few per group, remembers no failure."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltrec.data.stream.reading.lru_cache import LruCache


def test_threads_that_ask_together_compute_once():
    calls = []

    def slow(key):
        calls.append(key)
        time.sleep(0.02)
        return key * 10

    recent = LruCache(slow, keep=4)
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(recent, [1, 2] * 8)) == [10, 20] * 8
    assert sorted(calls) == [1, 2]


def test_keeps_the_most_recently_used_of_each_group():
    calls = []
    recent = LruCache(lambda key: calls.append(key) or len(calls), keep=2, group=lambda key: key[0])
    for key in ["a1", "a2", "b1", "a1", "a3", "a1", "b1", "a2"]:
        recent(key)
    assert calls == ["a1", "a2", "b1", "a3", "a2"]
    assert len(recent.values()) == 3


def test_keeps_what_weighs_no_more_than_it_may():
    calls = []
    recent = LruCache(lambda key: calls.append(key) or key, keep=10, weigh=int)
    for key in [4, 5, 4, 1, 2, 5]:
        recent(key)
    assert calls == [4, 5, 1, 2, 5], "with 2 they would weigh 12: 5 goes, the longest unused"
    assert sorted(recent.values()) == [1, 2, 5]
    recent(50)
    assert recent.values() == [50], "a single one stays whatever it weighs"


@given(st.lists(st.integers(1, 12), min_size=1, max_size=60), st.integers(1, 8))
def test_weights_add_up_whoever_asks(keys, threads):
    """Also where results are evicted while they are computed: as many as may stay are kept by a last request."""
    recent = LruCache(lambda key: key, keep=10, weigh=int)
    with ThreadPoolExecutor(threads) as pool:
        assert list(pool.map(recent, keys)) == keys
    kept = recent.values()
    assert sum(kept) <= 10 or len(kept) == 1
    for key in (1, 2, 3, 4):
        recent(key)
    assert sorted(recent.values()) == [1, 2, 3, 4], "they weigh 10, and nothing else is counted"


def test_a_failure_is_raised_and_tried_again():
    answers = [ValueError("first"), 7]

    def compute(_):
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    recent = LruCache(compute, keep=1)
    with pytest.raises(ValueError, match="first"):
        recent("k")
    assert recent.values() == []
    assert recent("k") == recent("k") == 7
