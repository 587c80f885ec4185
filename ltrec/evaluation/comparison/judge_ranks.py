"""The gate for ranks from any library: two methods' ranks of every user's target, and every user's activity. It needs no run
folder.

It is the gate of `ltrec evaluate --compare`, and gives the same figures to the last digit for the same ranks and users.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ltrec.core.activity_cuts import head_bound
from ltrec.core.counting import counted
from ltrec.core.errors import UserError
from ltrec.evaluation.comparison.gate import Contest, judge
from ltrec.evaluation.comparison.verdict import Gate
from ltrec.evaluation.config import EvaluationConfig
from ltrec.evaluation.metrics import metric_values

HEAD_SHARE = 0.2
"""The head cut is the one nearest to this share of users, as in `ltrec prepare`."""

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class PerUser:
    """An integer per user, in any order of users: a rank (1 = best), or a number of training events.

    Attributes:
        users: raw ids, each once; integers are equivalent to their decimal text.
        values: one per user.
    """

    users: Sequence[str | int]
    values: Sequence[int] | npt.NDArray[np.integer]


def judge_ranks(
    *,
    baseline: Sequence[PerUser],
    candidate: Sequence[PerUser],
    activity: PerUser,
    metric: str = "ndcg@10",
    head_from: int | None = None,
    config: EvaluationConfig | None = None,
    names: tuple[str, str] = ("baseline", "candidate"),
) -> Gate:
    """Did the tail gain, and did the head pay?

    Args:
        baseline: ranks of every user's target, one `PerUser` per training seed.
        candidate: likewise, the same users and as many seeds; the i-th is paired with the i-th of `baseline`. A scorer without
            randomness, such as popularity, is given once for each seed of the other.
        activity: number of training events of every user; users with none belong to neither tail nor head.
        metric: ``ndcg@k``, ``hr@k``, ``mrr@k`` or ``mrr``.
        head_from: smallest activity of a head user; None = the cut nearest to the most active fifth of the users.
        config: head_margin, min_seeds, bootstrap_samples and seed are used; None = ltrec's defaults.
        names: of the two methods.

    Returns:
        `Gate`: its `verdict` is ``pass``, ``fail`` or ``inconclusive``, and `datasets[0]` says why.

    Raises:
        UserError: something is missing, duplicated or does not match; or tail or head have fewer than two users.
    """
    config = config or EvaluationConfig()
    if not baseline or len(baseline) != len(candidate):
        raise UserError(
            f"cannot pair {counted(len(baseline), 'run')} of {names[0]} with {len(candidate)} of {names[1]}: give equally many, "
            "one per seed (a scorer without randomness once for each seed of the other)"
        )
    user_key_N, events_N = _ordered(activity, f"activity of {names[0]} and {names[1]}", least=0)
    sides = [_values(side, name, user_key_N, metric) for side, name in zip((baseline, candidate), names, strict=True)]
    order = sorted(
        range(len(baseline)), key=lambda s: (sides[0][s].tobytes(), sides[1][s].tobytes())
    )  # sums do not depend on the order of seeds
    cut = _head_cut(events_N) if head_from is None else head_from
    head_N = events_N >= cut
    contest = Contest(*names, sides[0][order], sides[1][order], (events_N > 0) & ~head_N, (events_N > 0) & head_N)
    return judge({"these ranks": contest}, config, metric)


def key_of_user(user: str | int) -> int:
    """The 64-bit key that `ltrec prepare` gives a raw id: the last eight bytes of its MD5, little-endian, signed."""
    digest = hashlib.md5(str(user).encode(), usedforsecurity=False).digest()
    return int.from_bytes(digest[8:], "little", signed=True)


def _head_cut(events_N: Ints) -> int:
    trained = events_N[events_N > 0]
    if not trained.size:
        raise UserError("activity: no user has a training event, so there is neither tail nor head")
    return head_bound(*np.unique(trained, return_counts=True), HEAD_SHARE)


def _values(side: Sequence[PerUser], name: str, user_key_N: Ints, metric: str) -> npt.NDArray[np.float64]:
    """The metric of every seed and user [S, N]."""
    rows = []
    for seed, found in enumerate(side, 1):
        which = f"run {seed} of {name}" if len(side) > 1 else name
        key_N, rank_N = _ordered(found, f"ranks of {which}", least=1)
        if not np.array_equal(key_N, user_key_N):
            raise UserError(f"the users of the ranks of {which} and of activity differ: {_example(found, key_N, user_key_N)}")
        rows.append(metric_values(metric, rank_N))
    return np.stack(rows)


def _ordered(found: PerUser, what: str, *, least: int) -> tuple[Ints, Ints]:
    """Keys and values, sorted by key."""
    if len(found.users) != len(found.values):
        raise UserError(f"{what}: {len(found.users):,} users and {len(found.values):,} values; there must be one value per user")
    values = np.asarray(found.values)
    if values.dtype.kind not in "iu" or (values.size and values.min() < least):
        wrong = values.dtype if values.dtype.kind not in "iu" else values.min()
        raise UserError(f"{what} must be integers of at least {least}; got {wrong}")
    keys = np.fromiter((key_of_user(user) for user in found.users), np.int64, len(found.users))
    order = np.argsort(keys, kind="stable")
    double = np.flatnonzero(np.diff(keys[order]) == 0)
    if double.size:
        raise UserError(f"{what}: user {found.users[int(order[double[0]])]!r} occurs twice; each user has one target")
    return keys[order], values[order].astype(np.int64)


def _example(found: PerUser, key_N: Ints, user_key_N: Ints) -> str:
    extra, lacking = np.setdiff1d(key_N, user_key_N), np.setdiff1d(user_key_N, key_N)
    first = next((f", for example {user!r}" for user in found.users if key_of_user(user) in extra), "") if extra.size else ""
    return f"{counted(extra.size, 'user')} without activity{first}, {counted(lacking.size, 'user')} without a rank"
