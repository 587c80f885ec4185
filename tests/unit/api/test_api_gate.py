"""`ltrec.gate`: anybody's ranks, from any kind of table, judged as run folders are; strict about what it is given."""

from __future__ import annotations

import json
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest

import ltrec
from ltrec.core.activity_cuts import head_bound
from ltrec.evaluation.comparison.gate import gate as gate_of_runs
from ltrec.evaluation.comparison.judge_ranks import key_of_user
from ltrec.evaluation.comparison.pairing import pair
from ltrec.evaluation.config import EvaluationConfig
from tests.support.arrow_only import ArrowOnly
from tests.support.evaluation import eval_table

USERS = [f"person-{n}" for n in range(200)]
ACTIVITY = 1 + (np.arange(200) * 7 % 23) ** 2 // 20
HEAD_FROM = head_bound(*np.unique(ACTIVITY, return_counts=True), 0.2)
QUICK = {"bootstrap_samples": 400}


def ranks_of(start: int, gain: int = 0) -> list[np.ndarray]:
    return [np.maximum(1, np.random.default_rng(start + seed).integers(1, 40, 200) - gain) for seed in range(3)]


BASE, BETTER = ranks_of(0), ranks_of(0, gain=9)


def table(rank, users=USERS, **more) -> pa.Table:
    return pa.table({"user": users, "rank": rank, "activity": ACTIVITY} | more)


def tables(ranks) -> list[pa.Table]:
    return [table(rank) for rank in ranks]


def numbers(side) -> list[float]:
    return [side.users, side.base, side.change, side.low, side.high, side.p]


def run_tables(ranks, name):
    keys = np.array([key_of_user(user) for user in USERS])
    for seed, rank in enumerate(ranks):
        one = eval_table(rank, ACTIVITY, seed=seed, name=name)
        rows = one.rows.set_column(0, one.rows.schema.field(0), pa.array(USERS)).set_column(
            1, one.rows.schema.field(1), pa.array(keys)
        )
        yield type(one)(rows, one.protocol, one.source, one.strata, one.catalogue)


def test_it_is_the_verdict_of_run_folders_on_the_same_tables(tmp_path):
    """By their files, and by the bare columns, but for the order in which seeds are summed."""
    mine, theirs = list(run_tables(BETTER, "candidate")), list(run_tables(BASE, "baseline"))
    config = EvaluationConfig(bootstrap_samples=400, head_from=HEAD_FROM)
    [wanted] = gate_of_runs({"these ranks": pair(base=theirs, other=mine)}, config).datasets
    files: list[list] = [[], []]
    for side, found in zip(files, (theirs, mine), strict=True):
        for one in found:
            side.append(tmp_path / f"{one.name}-{one.source['seed']}.parquet")
            one.write(side[-1])
    for base, other in ((files[0], files[1]), (tables(BASE), tables(BETTER))):
        found = ltrec.gate(base, other, **QUICK)
        assert found.verdict == wanted.verdict
        for mine, theirs in ((found.tail, wanted.tail), (found.head, wanted.head)):
            assert mine.verdict == theirs.verdict and numbers(mine) == pytest.approx(numbers(theirs), rel=1e-12)
        assert found.head_from == HEAD_FROM and found.passed and found.seeds == 3


def test_every_kind_of_table_gives_the_same_verdict(tmp_path):
    wanted = ltrec.gate(tables(BASE), tables(BETTER), **QUICK)
    for i, one in enumerate(tables(BASE)):
        pq.write_table(one, tmp_path / f"{i}.parquet")
        pa_csv.write_csv(one, tmp_path / f"{i}.csv")
    others = {
        "parquet": [tmp_path / f"{i}.parquet" for i in range(3)],
        "csv": [str(tmp_path / f"{i}.csv") for i in range(3)],
        "streams": [ArrowOnly(one) for one in tables(BASE)],
        "floats": [one.set_column(1, "rank", one["rank"].cast(pa.float64())) for one in tables(BASE)],
        "categories": [one.set_column(0, "user", one["user"].dictionary_encode()) for one in tables(BASE)],
        "user_id": [one.rename_columns(["user_id", "rank", "activity"]) for one in tables(BASE)],
    }
    for kind, base in others.items():
        assert ltrec.gate(base, tables(BETTER), **QUICK) == wanted, kind


def test_the_order_of_rows_and_a_separate_table_of_activity_change_nothing():
    wanted = ltrec.gate(tables(BASE), tables(BETTER), **QUICK)
    shuffled = [one.take(pa.array(np.random.default_rng(i).permutation(200))) for i, one in enumerate(tables(BETTER))]
    assert ltrec.gate(tables(BASE), shuffled, **QUICK) == wanted
    bare = [[one.drop_columns(["activity"]) for one in side] for side in (tables(BASE), shuffled)]
    assert ltrec.gate(*bare, activity=table(BASE[0]).select(["user", "activity"]), **QUICK) == wanted
    whole = [[one.set_column(0, "user", pa.array(range(200))) for one in side] for side in (tables(BASE), tables(BETTER))]
    assert ltrec.gate(*whole, **QUICK).tail.change == wanted.tail.change, "whole numbers are ids too"


def test_users_who_are_not_ranked_count_for_the_cut_of_the_head():
    events = {"user": [*USERS, *(f"idle-{n}" for n in range(500))], "activity": [*ACTIVITY, *[1] * 500]}
    found = ltrec.gate(tables(BASE), tables(BETTER), activity=pa.table(events), **QUICK)
    assert found.head_from == head_bound(*np.unique(events["activity"], return_counts=True), 0.2) != HEAD_FROM
    half, fifth = (ltrec.gate(tables(BASE), tables(BETTER), head_share=share, **QUICK).head.users for share in (0.5, 0.2))
    assert half > 1.5 * fifth
    assert ltrec.gate(tables(BASE), tables(BETTER), head_from=7, **QUICK).head.users == (ACTIVITY >= 7).sum()


def test_the_verdict_is_typed_json_and_a_sentence():
    passed, failed = ltrec.gate(tables(BASE), tables(BETTER), **QUICK), ltrec.gate(tables(BETTER), tables(BASE), **QUICK)
    assert (passed.verdict, failed.verdict) == ("pass", "fail") and not failed.passed
    assert str(passed).startswith("PASS. candidate against baseline, 3 training seeds a side. The tail gained ")
    told = json.loads(json.dumps(passed.to_dict(), allow_nan=False))
    assert told["tail"]["low"] < told["tail"]["change"] < told["tail"]["high"] and told["seeds_missing"] == 0
    one = ltrec.gate(table(BASE[0]), table(BETTER[0]), names=("joint", "mine"), **QUICK)
    assert one.verdict == "inconclusive" and one.seeds_missing == 2 and "joint" in one.text and "mine" in one.text
    few = ltrec.gate(tables(BASE), tables(ranks_of(50)), **QUICK)
    assert (few.verdict == "inconclusive" and few.tail.seeds_to_decide is None) or few.tail.seeds_to_decide > 3


def test_more_is_asked_by_a_smaller_margin_and_by_another_metric():
    worse = [rank + (ACTIVITY >= HEAD_FROM) for rank in BETTER]
    heads = [ltrec.gate(tables(BASE), tables(worse), margin=margin, **QUICK).head.p for margin in (0.01, 0.1, 0.5)]
    assert all(a >= b for a, b in pairwise(heads))
    assert ltrec.gate(tables(BASE), tables(BETTER), metric="hr@5", **QUICK).metric == "hr@5"


def changed(column, row, value):
    one = table(BASE[0]).to_pydict()
    one[column][row] = value
    return pa.table(one)


@pytest.mark.parametrize(
    ("candidate", "options", "line"),
    [
        (table(BASE[0]).slice(3), {}, r"the users differ: 3 only in baseline, 0 only in candidate, for example 'person-0'"),
        (changed("user", 1, "person-0"), {}, r"1 only in baseline, 0 only in candidate"),
        (pa.concat_tables([table(BASE[0]), table(BASE[0]).slice(7, 1)]), {}, r"user 'person-7' occurs twice"),
        (changed("rank", 4, 0), {}, r"candidate: 1 user with a number below 1 as rank; ranks begin at 1, and a target that is not"),
        (changed("rank", 4, None), {}, r"candidate: 1 user without a finite rank"),
        (changed("rank", 4, float("nan")), {}, r"candidate: 1 user without a finite rank"),
        (changed("rank", 4, float("inf")), {}, r"candidate: 1 user without a finite rank"),
        (table(BASE[0] + 0.5), {}, r"candidate: 200 users with a fraction as rank"),
        (table([str(rank) for rank in BASE[0]]), {}, r"candidate: rank is string, not a number"),
        (changed("activity", 4, -1), {}, r"1 user with a number below 0 as activity"),
        (changed("activity", 4, 999), {}, r"the activity of 1 user differs between baseline and candidate, for example 'person-4'"),
        (
            table(BASE[0]).rename_columns(["u", "rank", "activity"]),
            {},
            r"candidate: no column 'user' or 'user_id'; it has 'u', 'rank'",
        ),
        (table(BASE[0], users=np.arange(200) / 2), {}, r"users are double numbers"),
        (changed("user", 1, None), {}, r"candidate: 1 row without a user"),
        ([], {}, r"candidate: no table of ranks"),
        (tables(BASE), {}, r"cannot pair 1 run of baseline with 3 of candidate"),
        (3, {}, r"a int is neither a path nor a table"),
        ("none.parquet", {}, r"candidate: no such file: none.parquet"),
        (table(BASE[0]), {"names": ("a", "a")}, r"both called 'a'"),
        (table(BASE[0]), {"head_share": 1.5}, r"head_share is 1.5"),
        (table(BASE[0]), {"margin": 1.5}, r"gate: head_margin"),
        (table(BASE[0]), {"metric": "ndcg"}, r"'ndcg' is not a metric"),
        (table(BASE[0]), {"activity": pa.table({"user": USERS[2:], "activity": ACTIVITY[2:]})}, r"2 ranked users without activity"),
        (table(BASE[0]), {"activity": pa.table({"user": USERS * 2, "activity": [1] * 400})}, r"200 rows of users who came before"),
        (table(BASE[0]), {"activity": pa.table({"user": USERS, "activity": [0] * 200})}, r"no user has a training event"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(candidate, options, line):
    with pytest.raises(ltrec.UserError, match=line) as caught:
        ltrec.gate(table(BASE[0]), candidate, **QUICK, **options)
    assert "\n" not in str(caught.value)


def test_activity_must_come_from_somewhere():
    bare = [one.drop_columns(["activity"]) for one in tables(BASE)]
    with pytest.raises(ltrec.UserError, match=r"how active are the users\? give activity="):
        ltrec.gate(bare, bare, **QUICK)
