"""A user who has crossed a threshold since training: scored through the plugin of what he is now, reported as what he was."""

from __future__ import annotations

import pyarrow as pa
import pytest
import torch

from ltrec.core import columns as c
from ltrec.core.strata import Strata
from ltrec.data.stream.reading.histories import SplitHistories
from ltrec.evaluation.ranking import rank_split
from ltrec.evaluation.table import RANK
from ltrec.inference.lists import ListRules
from ltrec.inference.predict import predict
from ltrec.inference.rankings import FullRanking
from tests.support.evaluation import falling_counts
from tests.support.shards import User, leave_one_out, write_dataset

NUM_ITEMS = 40
BOUNDS = Strata(lower_bounds=(1, 5, 9), users=(1, 1, 1), events=(1, 1, 1), head_from=9)


@pytest.fixture(scope="module")
def crossing(tmp_path_factory):
    """Trained on 4 events (below 5), on 7, and not at all."""
    users = [leave_one_out(4, list(range(1, 7)), 0), leave_one_out(7, list(range(1, 10)), 1)]
    users += [User("u50", list(range(1, 13)), -1, 0, -1, 10)]
    folder = tmp_path_factory.mktemp("crossing")
    return folder, write_dataset(folder, users, num_items=NUM_ITEMS)


def score(chunk):
    """What a plugin may do: stratum z likes item 30 + z best, and the rest by their number."""
    batch = chunk.batch
    scores_BV = -torch.arange(NUM_ITEMS + 1.0).expand(batch.num_rows, -1).clone()
    scores_BV[torch.arange(batch.num_rows), 30 + batch.stratum_B] = 1.0
    return scores_BV


@pytest.mark.parametrize(("split", "plugins"), [("valid", {"u4": 0, "u7": 1}), ("test", {"u4": 1, "u7": 1, "u50": 2})])
def test_scores_are_routed_and_rows_keep_their_stratum(crossing, split, plugins):
    histories = SplitHistories(*crossing, split, 5, strata=BOUNDS)
    [part] = rank_split(score, histories, falling_counts(NUM_ITEMS), parts=[0], filter_seen=False, top_k=1)
    rows = {row[c.USER_ID]: row for row in part.rows.to_pylist()}
    assert {name: row["top_items"][0] - 30 for name, row in rows.items()} == plugins
    assert {name: row[c.STRATUM] for name, row in rows.items()} == {n: {"u4": 0, "u7": 1, "u50": -1}[n] for n in plugins}
    assert all(row[RANK] > 1 for row in rows.values())


def test_predictions_are_routed_by_all_that_is_stored(crossing, tmp_path):
    histories, names = SplitHistories(*crossing, "all", 5, strata=BOUNDS), [f"i{n}" for n in range(NUM_ITEMS + 1)]
    ranking = FullRanking(score, ListRules(1, filter_seen=True))
    predict(ranking, histories, names, out=tmp_path / "top.parquet")
    found = pa.parquet.read_table(tmp_path / "top.parquet").to_pylist()
    assert {row[c.USER_ID]: row[c.ITEM_ID] for row in found} == {"u4": "i31", "u7": "i32", "u50": "i32"}
