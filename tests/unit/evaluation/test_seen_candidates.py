"""`evaluation.candidates=seen`: only items with training events are ranked, against a plain sort."""

import numpy as np
import pytest
import torch

from ltrec.evaluation.config import EvaluationConfig
from ltrec.evaluation.ranking import rank_chunk, rank_split
from ltrec.evaluation.table import Protocol
from tests.support.evaluation import FakeHistories, falling_counts, history_chunk

V, SEEN = 9, 6


def naive(scores, history, target, filter_seen):
    """Rank and number of candidates by sorting items 1..SEEN, the target last among its equals."""
    barred = set(history) - {target} if filter_seen else set()
    candidates = [v for v in range(1, SEEN + 1) if v not in barred]
    if target > SEEN:
        return max(1, len(candidates)), max(1, len(candidates)), True
    order = sorted(candidates, key=lambda v: (-scores[v], v == target))
    return order.index(target) + 1, len(candidates), False


@pytest.mark.parametrize("filter_seen", [True, False])
@pytest.mark.parametrize("seed", range(10))
def test_ranks_are_those_of_a_sort(seed, filter_seen):
    draw = np.random.default_rng(seed)
    histories = [draw.integers(1, V + 1, draw.integers(0, 8)).tolist() for _ in range(12)]
    targets = draw.integers(1, V + 1, 12).tolist()
    scores = torch.from_numpy(draw.integers(0, 4, (12, V + 1)).astype(np.float32))
    result = rank_chunk(scores.clone(), history_chunk(histories, targets), filter_seen=filter_seen, top_k=4, items=SEEN)
    for row in range(12):
        expected = naive(scores[row].tolist(), histories[row], targets[row], filter_seen)
        assert (result.rank[row], result.candidates[row], result.outside[row]) == expected
        assert result.repeat[row] == (targets[row] in histories[row])
    assert result.top_items.max() <= SEEN


def test_without_a_limit_nothing_is_outside():
    result = rank_chunk(torch.zeros(1, V + 1), history_chunk([[1]], [V]), filter_seen=True)
    assert (result.rank[0], result.candidates[0], result.outside[0]) == (V - 1, V - 1, False)


def test_a_user_who_has_seen_every_candidate_and_wants_another_item():
    result = rank_chunk(torch.zeros(1, V + 1), history_chunk([[1, 2, 3]], [V]), filter_seen=True, items=3)
    assert (result.rank[0], result.candidates[0], result.outside[0]) == (1, 1, True)


def test_a_split_is_ranked_among_the_items_that_training_saw():
    count = falling_counts(V, top=SEEN)  # 6 // id: items 7 to 9 have none
    chunk = history_chunk([[1], [2]], [3, 8])
    found = {}
    for seen_only in (True, False):
        (part,) = rank_split(
            lambda chunk: torch.zeros(2, V + 1),
            FakeHistories([chunk], []),
            count,
            parts=[0],
            filter_seen=True,
            top_k=20,
            seen_only=seen_only,
        )
        found[seen_only] = part.rows["candidates"].to_pylist(), [len(top) for top in part.rows["top_items"].to_pylist()]
    assert found == {True: ([5, 5], [5, 5]), False: ([8, 8], [8, 8])}


def test_both_words_for_every_item_are_one():
    assert EvaluationConfig(candidates="all") == EvaluationConfig() == EvaluationConfig(candidates="full")
    assert EvaluationConfig(candidates="seen").candidates == "seen"


def test_the_protocol_says_what_was_ranked():
    assert Protocol("x", "test").ranking == "full ranking"
    assert Protocol("x", "test", "seen").ranking == "ranking of items with training events"
