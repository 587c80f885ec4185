import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ltrec.core.errors import UserError
from ltrec.core.strata import Strata
from ltrec.evaluation import ranking
from ltrec.evaluation.baselines import last_item, popularity
from ltrec.evaluation.catalogue import ItemCatalogue
from ltrec.evaluation.ranking import Negatives, num_parts, rank_chunk, rank_split
from ltrec.evaluation.table import EvalTable, Protocol, assemble
from tests.support.evaluation import FakeHistories, falling_counts, history_chunk, random_histories


def naive(scores: list[float], seen: list[int], target: int, filter_seen: bool, top_k: int) -> tuple[int, int, list[int]]:
    """Sort all candidates, the target last among its equals."""
    barred = set(seen) - {target} if filter_seen else set()
    candidates = [v for v in range(1, len(scores)) if v not in barred]
    order = sorted(candidates, key=lambda v: (-scores[v], v == target))
    best = sorted((v for v in candidates if scores[v] > -np.inf), key=lambda v: (-scores[v], v))
    return order.index(target) + 1, len(candidates), best[:top_k]


@settings(max_examples=80)
@given(data=st.data(), num_items=st.integers(1, 12), rows=st.integers(1, 4), filter_seen=st.booleans(), top_k=st.integers(0, 6))
def test_equals_the_naive_sort(data, num_items, rows, filter_seen, top_k):
    item = st.integers(1, num_items)
    seen = [data.draw(st.lists(item, min_size=1, max_size=8)) for _ in range(rows)]
    targets = [data.draw(item) for _ in range(rows)]
    value = st.sampled_from([-np.inf, -1.0, 0.0, 0.25, 1.0])
    scores = [[data.draw(value) for _ in range(num_items + 1)] for _ in range(rows)]
    result = rank_chunk(torch.tensor(scores), history_chunk(seen, targets), filter_seen=filter_seen, top_k=top_k)
    starts = np.cumsum(result.top_lengths) - result.top_lengths
    for row in range(rows):
        rank, candidates, top = naive(scores[row], seen[row], targets[row], filter_seen, top_k)
        assert (result.rank[row], result.candidates[row]) == (rank, candidates)
        assert result.repeat[row] == (targets[row] in seen[row])
        assert result.top_items[starts[row] : starts[row] + result.top_lengths[row]].tolist() == top


def test_ties_count_against_the_target():
    result = rank_chunk(torch.zeros(1, 11), history_chunk([[1]], [2]), filter_seen=False)
    assert (result.rank[0], result.candidates[0]) == (10, 10)
    result = rank_chunk(torch.zeros(1, 11), history_chunk([[1, 1, 3]], [2]), filter_seen=True)
    assert (result.rank[0], result.candidates[0]) == (8, 8)


def test_a_repeated_target_is_never_filtered():
    scores = torch.tensor([[0.0, 3.0, 2.0, 1.0]])
    chunk = history_chunk([[1, 2]], [2])
    filtered = rank_chunk(scores.clone(), chunk, filter_seen=True, top_k=3)
    assert (filtered.rank[0], filtered.candidates[0], filtered.repeat[0]) == (1, 2, True)
    assert filtered.top_items.tolist() == [2, 3]
    assert rank_chunk(scores.clone(), chunk, filter_seen=False).rank[0] == 2


def test_padding_is_never_recommended_and_never_a_rival():
    scores = torch.tensor([[99.0, 1.0, 2.0]])
    result = rank_chunk(scores, history_chunk([[1]], [1]), filter_seen=False, top_k=3)
    assert result.top_items.tolist() == [2, 1]
    assert result.rank[0] == 2


def test_a_list_is_in_step_with_the_rank():
    chunk = random_histories(50, 40, chunk_rows=50).chunk(0)
    scores = torch.randn(50, 41, generator=torch.Generator().manual_seed(3))
    result = rank_chunk(scores, chunk, filter_seen=True, top_k=10)
    lists = np.split(result.top_items, np.cumsum(result.top_lengths)[:-1])
    places = [items.tolist().index(t) + 1 if t in items else None for items, t in zip(lists, chunk.target_B.tolist(), strict=True)]
    assert places == [r if r <= 10 else None for r in result.rank.tolist()]


@pytest.mark.parametrize("top_k", [0, 5])
def test_nan_scores_are_refused_with_the_user(top_k):
    chunk = history_chunk([[1], [2], [3]], [2, 3, 1], index=17)
    scores = torch.zeros(3, 9)
    scores[1, 8] = torch.nan
    with pytest.raises(UserError, match=r"chunk 17: the scores of 1 users are NaN, first of user 'u1'"):
        rank_chunk(scores, chunk, filter_seen=True, top_k=top_k)


def test_half_precision_and_gradients_are_accepted():
    scores = torch.arange(12.0).reshape(1, 12).to(torch.bfloat16).requires_grad_()
    assert rank_chunk(scores * 1, history_chunk([[1]], [10]), filter_seen=True).rank[0] == 2


def test_torch_and_numpy_count_alike(monkeypatch):
    """The device path counts with torch; on this machine it is reached by a tensor that says it lives elsewhere."""

    class Elsewhere:
        device = torch.device("meta")

        def __init__(self, scores: torch.Tensor) -> None:
            self.scores = scores

        def __ge__(self, other: torch.Tensor) -> torch.Tensor:
            return self.scores >= other

    scores = torch.randint(0, 5, (20, 30)).float()
    least = scores[:, 3:4]
    expected = ranking._count_at_least(scores, least)
    assert np.array_equal(ranking._count_at_least(Elsewhere(scores), least), expected)


def ranked(histories: FakeHistories, num_items: int, world: int, **options) -> EvalTable:
    """The table when `world` processes share the chunks."""
    weight = torch.randn(num_items + 1, num_items + 1, generator=torch.Generator().manual_seed(1))

    def score(chunk):
        batch = chunk.batch
        return weight[batch.items_T[batch.offsets[1:] - 1]].clone()

    train_count = falling_counts(num_items)
    parts = []
    for rank in reversed(range(world)):
        mine = range(rank, num_parts(histories), world)
        parts += rank_split(score, histories, train_count, parts=mine, filter_seen=True, top_k=5, **options)
    return assemble(
        parts,
        protocol=Protocol("m", "test"),
        source={"scorer": "x", "seed": 1},
        strata=Strata((1, 3), (1, 1), (1, 1), 3),
        catalogue=ItemCatalogue.of(train_count),
    )


@pytest.mark.parametrize("negatives", [None, Negatives(10, 3)])
def test_the_file_does_not_depend_on_the_number_of_processes(tmp_path, negatives):
    histories = random_histories(70, 30, chunk_rows=16, cold=5)
    files = []
    for world in (1, 2, 3, 7):
        ranked(histories, 30, world, negatives=negatives).write(tmp_path / f"{world}.parquet")
        files.append((tmp_path / f"{world}.parquet").read_bytes())
    assert all(file == files[0] for file in files)


def test_users_come_in_chunk_order_and_cold_ones_last():
    table = ranked(random_histories(20, 30, chunk_rows=8, cold=3), 30, 2)
    assert table.rows.column("user_id").to_pylist() == [f"u{n}" for n in range(23)]
    assert table.column("history_length")[20:].tolist() == [0, 0, 0]


def test_cold_users_are_ranked_by_popularity():
    cold = history_chunk([[], []], [1, 4], stratum=-1)
    histories = FakeHistories([], [cold])
    parts = list(rank_split(None, histories, falling_counts(8, top=64), parts=[0], filter_seen=True, top_k=3))
    assert parts[0].rows.column("rank").to_pylist() == [1, 4]
    assert parts[0].rows.column("top_items").to_pylist() == [[1, 2, 3], [1, 2, 3]]
    assert parts[0].rows.column("target_count").to_pylist() == [64, 16]


def test_popularity_ranks_by_training_count_and_ties_are_lost():
    train_count = torch.tensor([0, 9, 9, 4, 4, 4, 0])
    chunk = history_chunk([[6], [6], [6], [6]], [1, 2, 3, 6])
    result = rank_chunk(popularity(train_count)(chunk), chunk, filter_seen=False, top_k=4)
    assert result.rank.tolist() == [2, 2, 5, 6]
    assert result.top_items[:4].tolist() == [1, 2, 3, 4]


def test_popularity_tells_apart_counts_that_float32_cannot():
    big = 2**25
    train_count = torch.tensor([0, big + 2, big + 1, big])
    scores = popularity(train_count)(history_chunk([[3]], [1]))
    assert scores[0, 1] > scores[0, 2] > scores[0, 3]


def test_last_item_hits_repeats_of_the_last_item_only():
    chunk = history_chunk([[1, 2], [1, 2], [3]], [2, 1, 4])
    result = rank_chunk(last_item(5)(chunk), chunk, filter_seen=False, top_k=2)
    assert result.rank.tolist() == [1, 5, 5]
    assert result.top_items.tolist() == [2, 1, 2, 1, 3, 1]


def test_last_item_of_an_empty_history_gives_equal_scores():
    assert (last_item(4)(history_chunk([[], [3]], [1, 1])) == torch.tensor([[0.0] * 5, [0, 0, 0, 1, 0]])).all()


def test_a_missing_or_duplicated_chunk_is_noticed():
    histories = random_histories(20, 10, chunk_rows=8)
    parts = list(rank_split(last_item(10), histories, falling_counts(10), parts=[0, 2], filter_seen=False, top_k=1))
    with pytest.raises(AssertionError, match="missing or duplicated"):
        assemble(
            parts,
            protocol=Protocol("m", "test"),
            source={},
            strata=Strata((1,), (1,), (1,), 1),
            catalogue=ItemCatalogue((1,), (10,)),
        )


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("negatives", [None, Negatives(10, 3)])
def test_the_device_ranks_like_the_host(negatives):
    chunk = random_histories(200, 60, chunk_rows=200).chunk(0)
    scores = torch.randint(0, 20, (200, 61), generator=torch.Generator().manual_seed(0)).float()
    host, device = (
        rank_chunk(scores.clone().to(where), chunk, filter_seen=True, top_k=7, negatives=negatives) for where in ("cpu", "cuda")
    )
    for name in ("rank", "candidates", "repeat", "top_items", "top_lengths"):
        assert np.array_equal(getattr(host, name), getattr(device, name)), name
