import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ltrec.models import top_items as module
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


@settings(max_examples=40)
@given(data=st.data(), width=st.integers(1, 30), k=st.integers(1, 12), first=st.integers(1, 31), cells=st.integers(1, 90))
def test_ties_among_low_ids_and_further_on_and_in_parts(data, width, k, first, cells):
    scores = [[float(data.draw(st.integers(0, 2))) for _ in range(width)] for _ in range(4)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_FIRST", first)
        patch.setattr(module, "_CELLS", cells)
        _, item = top_items(torch.tensor(scores), k)
    assert item.tolist() == [naive(row, k) for row in scores]


def test_distinct_scores_large():
    scores = torch.randn(64, 500, generator=torch.Generator().manual_seed(0))
    _, item = top_items(scores, 50)
    assert torch.equal(item, scores.argsort(dim=1, descending=True)[:, :50])


def test_the_scores_are_left_alone():
    scores = torch.zeros(3, 9)
    top_items(scores, 4)
    assert (scores == 0).all()


@settings(max_examples=60)
@given(data=st.data(), width=st.integers(1, 60), k=st.integers(1, 8), block=st.integers(1, 5), distinct=st.booleans())
def test_a_search_among_blocks_finds_the_same(data, width, k, block, distinct):
    """Ties inside blocks, between blocks and with the columns behind the last block."""
    few = st.integers(-3, 500).map(float) if distinct else st.sampled_from([-torch.inf, -1.0, 0.5, 2.0])
    scores = [[data.draw(few) for _ in range(width)] for _ in range(3)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_BLOCK", block)
        patch.setattr(module, "_MANY", 1)
        value, item = top_items(torch.tensor(scores), k)
    for row in range(3):
        expected = naive(scores[row], k)
        real = [i for i in expected if scores[row][i] > -torch.inf]
        assert item[row, : len(real)].tolist() == real
        assert value[row].tolist() == [scores[row][i] for i in expected]


def test_a_large_catalogue_is_searched_so(monkeypatch):
    scores = torch.randn(4, 6000, generator=torch.Generator().manual_seed(1)).round(decimals=2)
    found = top_items(scores, 7)
    monkeypatch.setattr(module, "_MANY", 10**9)
    value, item = top_items(scores, 7)
    assert torch.equal(found[0], value) and torch.equal(found[1], item)
    assert found[1].tolist() == [naive(row, 7) for row in scores.tolist()]
