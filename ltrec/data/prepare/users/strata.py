"""Activity strata from per-user training counts: cuts between distinct values, nearest to equal user shares."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import numpy.typing as npt

from ltrec.core.activity_cuts import head_bound, nearest_cut
from ltrec.core.errors import UserError
from ltrec.core.strata import Strata
from ltrec.data.prepare.config import PrepareConfig
from ltrec.data.prepare.engines.protocol import Engine

Ints = npt.NDArray[np.int64]


def find_strata(engine: Engine, config: PrepareConfig, like: Strata | None = None) -> Strata:
    """Strata over the users with training events, with the thresholds of `like` if there is one.

    Raises:
        UserError: there are none.
    """
    histogram = engine.rows("SELECT activity, count(*) FROM users WHERE activity > 0 GROUP BY activity ORDER BY activity")
    activity, users = np.array(histogram, dtype=np.int64).reshape(-1, 2).T
    if len(activity) == 0:
        raise UserError("no user has a training event; check `split`, `valid_from` and `held_out_users`")
    return strata_of(activity, users, config, like)


def strata_of(activity: Ints, users: Ints, config: PrepareConfig, like: Strata | None = None) -> Strata:
    """Strata of users, of whom `users` have each `activity` (ascending, from 1), with the thresholds of `like` if there is one."""
    given = config.strata_bounds if like is None else like.lower_bounds
    bounds = np.array(given or equal_bounds(activity, users, config.strata), dtype=np.int64)
    index = np.searchsorted(bounds, activity, side="right") - 1
    return Strata(
        lower_bounds=tuple(bounds.tolist()),
        users=tuple(np.bincount(index, users, len(bounds)).astype(np.int64).tolist()),
        events=tuple(np.bincount(index, users * activity, len(bounds)).astype(np.int64).tolist()),
        head_from=head_bound(activity, users, config.head_share) if like is None else like.head_from,
    )


def equal_bounds(activity: Ints, users: Ints, count: int) -> list[int]:
    """Smallest activity of each stratum; the first is 1. Users with equal activity stay together, so there may be fewer than
    `count`.

    A cut at value v separates users below v from the others. For each of the shares 1/K, ..., (K-1)/K the nearest cut is used (the
    lower one of two equally near), and cuts that coincide are merged.
    """
    cuts = {nearest_cut(activity, users, Fraction(k, count)) for k in range(1, count)}
    return [1, *sorted(cut for cut in cuts if cut is not None)]
