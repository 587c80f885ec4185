import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from ltrec.core.errors import UserError
from ltrec.inference.item_lists import ItemLists
from ltrec.inference.lists import ListRules
from ltrec.inference.predict import PREDICTION_SCHEMA, predict
from ltrec.inference.rankings import FullRanking
from tests.support.evaluation import random_histories

NUM_ITEMS = 20
RAW = ["", *(f"item-{i:02d}" for i in range(1, NUM_ITEMS + 1))]
WEIGHT = torch.randint(0, 6, (NUM_ITEMS + 1, NUM_ITEMS + 1), generator=torch.Generator().manual_seed(4)).float()


def score(chunk):
    batch = chunk.batch
    return WEIGHT[batch.items_T[batch.offsets[1:] - 1]].clone()


def ranking(score, k: int, filter_seen: bool = True, first: int | None = None) -> FullRanking:
    return FullRanking(score, ListRules(k, filter_seen, ItemLists().allowed(RAW, first)))


def naive(histories, k: int, filter_seen: bool, last: int = NUM_ITEMS) -> list[tuple]:
    rows = []
    for chunk in histories.warm:
        for b, user in enumerate(chunk.user_id):
            seen = chunk.seen_T[chunk.seen_offsets[b] : chunk.seen_offsets[b + 1]].tolist()
            scores = WEIGHT[seen[-1]].tolist()
            items = [v for v in range(1, last + 1) if not (filter_seen and v in seen)]
            best = sorted(items, key=lambda v: (-scores[v], v))[:k]
            rows += [(user, place, RAW[v], scores[v]) for place, v in enumerate(best, 1)]
    return rows


@pytest.mark.parametrize(("k", "filter_seen"), [(1, True), (5, True), (5, False), (100, True)])
def test_equals_the_naive_lists(tmp_path, k, filter_seen):
    histories = random_histories(30, NUM_ITEMS, chunk_rows=8)
    heard = []
    out = tmp_path / "top.parquet"
    count = predict(ranking(score, k, filter_seen), histories, RAW, out=out, on_progress=lambda *step: heard.append(step))
    table = pq.read_table(out)
    assert table.schema.equals(PREDICTION_SCHEMA)
    rows = [tuple(row.values()) for row in table.to_pylist()]
    assert rows == naive(histories, k, filter_seen)
    assert count == len(rows)
    assert heard == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert pq.ParquetFile(out).num_row_groups == 4  # written chunk by chunk


@pytest.mark.parametrize("filter_seen", [True, False])
def test_items_that_are_no_candidates_are_not_recommended(tmp_path, filter_seen):
    histories = random_histories(30, NUM_ITEMS, chunk_rows=8)
    predict(ranking(score, 8, filter_seen, first=12), histories, RAW, out=tmp_path / "t.parquet")
    rows = [tuple(row.values()) for row in pq.read_table(tmp_path / "t.parquet").to_pylist()]
    assert rows == naive(histories, 8, filter_seen, last=12)


def test_a_user_who_has_seen_everything_gets_nothing(tmp_path):
    histories = random_histories(1, 1, chunk_rows=1)
    assert predict(ranking(lambda chunk: torch.ones(1, 2), 3), histories, ["", "only"], out=tmp_path / "t.parquet") == 0
    assert pq.read_table(tmp_path / "t.parquet").num_rows == 0


@pytest.mark.parametrize("k", [0, 40_000])
def test_k_out_of_range(tmp_path, k):
    with pytest.raises(UserError, match=f"k is {k}"):
        predict(ranking(score, k), random_histories(2, NUM_ITEMS, chunk_rows=1), RAW, out=tmp_path / "t.parquet")


def test_scores_that_are_no_numbers_leave_no_file(tmp_path):
    calls = []

    def spoilt(chunk):
        calls.append(1)
        scores = score(chunk)
        scores[0, 3] = torch.nan if len(calls) == 2 else 0.0
        return scores

    with pytest.raises(UserError, match="chunk 1: the scores of user 'u2' are NaN"):
        predict(ranking(spoilt, 2), random_histories(6, NUM_ITEMS, chunk_rows=2), RAW, out=tmp_path / "t.parquet")
    assert list(tmp_path.iterdir()) == []


def test_an_existing_file_survives_a_failure(tmp_path):
    out = tmp_path / "t.parquet"
    predict(ranking(score, 2), random_histories(4, NUM_ITEMS, chunk_rows=2), RAW, out=out)
    before = out.read_bytes()
    with pytest.raises(UserError):
        predict(ranking(lambda chunk: score(chunk) * np.nan, 2), random_histories(4, NUM_ITEMS, chunk_rows=2), RAW, out=out)
    assert out.read_bytes() == before
