"""The gate for anybody's ranks: the figures of the run folders' gate, in any order, and one line for what does not match."""

from __future__ import annotations

import duckdb
import numpy as np
import pytest

from ltrec.core.errors import UserError
from ltrec.data.prepare.database import user_key
from ltrec.evaluation.comparison.gate import gate
from ltrec.evaluation.comparison.judge_ranks import PerUser, judge_ranks, key_of_user
from ltrec.evaluation.comparison.pairing import pair
from ltrec.evaluation.config import EvaluationConfig
from tests.support.evaluation import HEAD_FROM, eval_table

QUICK = EvaluationConfig(bootstrap_samples=400)
IDS = [f"u{n}" for n in range(200)]
ACTIVITY = np.where(np.arange(200) % 5 == 0, 12, 3)


def side(start: int, gain: int = 0) -> list[np.ndarray]:
    ranks = (np.random.default_rng(start + seed).integers(1, 40, 200) for seed in range(3))
    return [np.maximum(1, rank - gain) for rank in ranks]


def given(ranks: list[np.ndarray]) -> list[PerUser]:
    return [PerUser(IDS, rank) for rank in ranks]


def test_it_is_the_gate_of_the_run_folders_to_the_last_digit():
    base, other = side(0), side(0, gain=6)
    activity = ACTIVITY.copy()
    activity[:3] = 0  # users unseen in training are neither tail nor head
    keys = np.array([key_of_user(user) for user in IDS])
    tables = [[table_of(keys, rank, activity, seed) for seed, rank in enumerate(ranks)] for ranks in (base, other)]
    wanted = gate({"toy": pair(base=tables[0], other=tables[1])}, QUICK).datasets[0]
    found = judge_ranks(
        baseline=given(base), candidate=given(other), activity=PerUser(IDS, activity), head_from=HEAD_FROM, config=QUICK
    ).datasets[0]
    assert (found.tail, found.head, found.verdict) == (wanted.tail, wanted.head, wanted.verdict)
    assert found.tail.users == 160 - 2 and found.head.users == 40 - 1


def table_of(keys, rank, activity, seed):
    table = eval_table(rank, activity, history=np.maximum(activity, 1), seed=seed)
    return table.__class__(
        table.rows.set_column(1, table.rows.schema.field(1), [keys]), table.protocol, table.source, table.strata, table.catalogue
    )


def test_order_of_users_and_of_pairs_changes_no_digit():
    base, other, order = side(0), side(7), np.random.default_rng(3).permutation(200)
    ids = [IDS[i] for i in order]
    wanted = judge_ranks(baseline=given(base), candidate=given(other), activity=PerUser(IDS, ACTIVITY), config=QUICK)
    turned = judge_ranks(
        baseline=[PerUser(ids, base[s][order]) for s in (2, 0, 1)],
        candidate=[PerUser(IDS, other[s]) for s in (2, 0, 1)],
        activity=PerUser(ids, ACTIVITY[order]),
        config=QUICK,
    )
    assert turned == wanted


def test_verdicts_go_both_ways_and_the_head_is_cut_as_in_prepare():
    judged = {"baseline": given(side(0)), "activity": PerUser(IDS, ACTIVITY), "config": QUICK}
    better = judge_ranks(candidate=given(side(0, gain=6)), **judged)
    assert (better.verdict, better.metric, better.datasets[0].head.users) == ("pass", "ndcg@10", 40)
    worse = judge_ranks(candidate=given([rank + 9 for rank in side(0)]), metric="hr@5", names=("joint", "mine"), **judged)
    assert (worse.verdict, worse.datasets[0].base, worse.datasets[0].other) == ("fail", "joint", "mine")


def test_numbers_are_users_too():
    users = list(range(200))
    found = judge_ranks(
        baseline=[PerUser(users, rank) for rank in side(0)],
        candidate=[PerUser([str(u) for u in users], rank) for rank in side(7)],
        activity=PerUser(np.arange(200).tolist(), ACTIVITY),
        config=QUICK,
    )
    assert found.datasets[0].tail.users == 160


def test_users_have_the_keys_of_a_prepared_data_set():
    ids = ["u1", "", "näïve", "12345"]
    keys = [duckdb.execute(f"SELECT {user_key('$1')}", [user]).fetchone()[0] for user in ids]
    assert [key_of_user(user) for user in ids] == keys and key_of_user(12345) == keys[-1]
    assert min(keys) < 0 < max(keys), "choose ids whose keys show the sign"


GOOD = {"baseline": given(side(0)), "candidate": given(side(7)), "activity": PerUser(IDS, ACTIVITY)}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"candidate": given(side(7))[:2]}, "cannot pair 3 runs of baseline with 2 of candidate: give equally many"),
        ({"baseline": [], "candidate": []}, "cannot pair 0 runs"),
        ({"activity": PerUser(IDS[:-1], ACTIVITY)}, "199 users and 200 values; there must be one value per user"),
        ({"activity": PerUser(IDS[:-1], ACTIVITY[:-1])}, "1 user without activity, for example 'u199', 0 users without a rank"),
        ({"candidate": [PerUser(IDS[:-2], r[:-2]) for r in side(7)]}, "ranks of run 1 of candidate .* 2 users without a rank"),
        ({"activity": PerUser([*IDS[:-1], "u0"], ACTIVITY)}, "user 'u0' occurs twice"),
        ({"baseline": [PerUser(IDS, rank - 1) for rank in side(0)]}, "must be integers of at least 1; got 0"),
        ({"baseline": [PerUser(IDS, rank / 2) for rank in side(0)]}, "must be integers of at least 1; got float64"),
        ({"activity": PerUser(IDS, ACTIVITY * 0)}, "no user has a training event"),
        ({"metric": "auc"}, "auc needs the number of candidates"),
        ({"metric": "ndgc@10"}, "'ndgc@10' is not a metric"),
        ({"head_from": 500}, "0 head users cannot be judged"),
    ],
)
def test_mismatches_are_named(changed, message):
    with pytest.raises(UserError, match=message):
        judge_ranks(**{**GOOD, "config": QUICK, **changed})
