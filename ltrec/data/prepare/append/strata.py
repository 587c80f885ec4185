"""Strata of the users with new events: by the parent's thresholds, or by thresholds that are cut anew over all users."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from ltrec.core import columns as c
from ltrec.core.ragged import I64
from ltrec.core.strata import Strata
from ltrec.data.prepare.append.old import OldUsers
from ltrec.data.prepare.append.rows import PartUsers, is_among
from ltrec.data.prepare.config import PrepareConfig
from ltrec.data.prepare.engines.protocol import Engine
from ltrec.data.prepare.users.strata import strata_of


def grown_strata(engine: Engine, before: Strata, old: OldUsers) -> Strata:
    """The parent's strata with the users of the day in their new places: their old rows subtracted, `users` of the engine added."""
    users, events = old.by_stratum(before)
    activity, count = _histogram(engine)
    stratum = before.of(activity)
    own = stratum >= 0
    more_users = np.bincount(stratum[own], count[own], before.count).astype(np.int64)
    more_events = np.bincount(stratum[own], (count * activity)[own], before.count).astype(np.int64)
    return replace(
        before,
        users=_sum(before.users, -users, more_users),
        events=_sum(before.events, -events, more_events),
    )


def strata_cut_anew(engine: Engine, others_R: npt.NDArray[np.int32], config: PrepareConfig) -> Strata:
    """Strata with thresholds from all users, by the rule of the config.

    Args:
        engine: with the table `users` of the day's users.
        others_R: activities of all other users.
        config: the rule.
    """
    activity, count = _histogram(engine)
    whole = np.bincount(others_R, minlength=int(activity.max()) + 1).astype(np.int64)
    whole[activity] += count
    some = np.flatnonzero(whole[1:]) + 1
    return strata_of(some, whole[some], config)


def crossed(of_day: Iterable[PartUsers], old: OldUsers) -> int:
    """Users of the day who have another stratum than before; held-out users have none."""
    key_R, stratum_R = old.column(c.USER_KEY), old.column(c.STRATUM)
    same = sum(int(is_among(key_R[stratum_R == part.stratum], part.key_R).sum()) for part in of_day)
    return key_R.size - same


def _histogram(engine: Engine) -> tuple[I64, I64]:
    """Distinct activities of the users of the day, and how many users have each."""
    rows = engine.rows("SELECT activity, count(*) FROM users GROUP BY activity ORDER BY activity")
    activity, users = np.array(rows, dtype=np.int64).reshape(-1, 2).T
    return activity, users


def _sum(first: Iterable[int], *more: I64) -> tuple[int, ...]:
    total = np.array(list(first), np.int64)
    for other in more:
        total = total + other
    return tuple(int(value) for value in total)
