import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ltrec.models.top_items import top_items


def naive(scores: list[float], k: int) -> list[int]:
    return sorted(range(len(scores)), key=lambda i: (-scores[i], i))[:k]


@settings(max_examples=60)
@given(data=st.data(), rows=st.integers(1, 5), width=st.integers(1, 30), k=st.integers(1, 12))
def test_equals_a_full_sort_with_ties_by_id(data, rows, width, k):
    few = st.sampled_from([-torch.inf, -1.0, 0.0, 0.5, 2.0])  # many ties
    scores = [[data.draw(few) for _ in range(width)] for _ in range(rows)]
    value, item = top_items(torch.tensor(scores), k)
    for row in range(rows):
        expected = naive(scores[row], k)
        real = [i for i in expected if scores[row][i] > -torch.inf]
        assert item[row, : len(real)].tolist() == real
        assert value[row].tolist() == [scores[row][i] for i in expected]


def test_distinct_scores_large():
    scores = torch.randn(64, 500, generator=torch.Generator().manual_seed(0))
    _, item = top_items(scores, 50)
    assert torch.equal(item, scores.argsort(dim=1, descending=True)[:, :50])


def test_the_scores_are_left_alone():
    scores = torch.zeros(3, 9)
    top_items(scores, 4)
    assert (scores == 0).all()
