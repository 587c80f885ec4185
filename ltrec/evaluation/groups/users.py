"""Groups of users that are reported on: everyone, tail and head, the activity strata, and three kinds of users that are kept apart.

all         users with a history (the strata and new)
tail, head  users with training events, below and from the head cut on
stratum=i   by training events, as in training
new         users with a history but without training events (their stratum is none)
cold        users without any history: ranked by popularity, never part of `all`
outside  users whose target is not a candidate (`evaluation.candidates=seen`): last, never part of `all`
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from ltrec.core import columns as c
from ltrec.core.counting import counted, of_range
from ltrec.core.strata import Strata
from ltrec.evaluation.table import HISTORY_LENGTH, EvalTable

Mask = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.integer]


@dataclass(frozen=True, slots=True)
class Group:
    """A group of users: `key` is the name in logs, `label` the one in tables, `mask_N` selects the rows."""

    key: str
    label: str
    mask_N: Mask

    @property
    def users(self) -> int:
        """Number of users."""
        return int(self.mask_N.sum())


def groups(table: EvalTable, head_from: int | None = None) -> list[Group]:
    """The groups in the order of a report; `new`, `cold` and `outside` only if there are any.

    Args:
        table: the users.
        head_from: smallest activity of a head user; None = the data set's cut.
    """
    users = table.column(c.STRATUM), table.column(c.ACTIVITY)
    return groups_of(*users, warm_users(table), table.outside(), strata_of(table, head_from))


def groups_of(stratum: Ints, activity: Ints, warm: Mask, outside: Mask, strata: Strata) -> list[Group]:
    """The same, given the users' columns [N].

    Args:
        stratum: of training; -1 = kept out of it.
        activity: training events.
        warm: users with a history, whose target is a candidate.
        outside: users whose target is no candidate.
        strata: with the head cut.
    """
    cut, trained = strata.head_from, warm & (stratum >= 0)
    fixed = [
        Group("all", "all users", warm),
        Group("tail", f"tail (under {counted(cut, 'event')})", trained & (activity < cut)),
        Group("head", f"head ({cut}+ events)", trained & (activity >= cut)),
        *(Group(f"stratum={i}", of_range(name, "event"), trained & (stratum == i)) for i, name in enumerate(strata.names())),
    ]
    unseen = [
        Group("new", "new users (not in training)", warm & (stratum < 0)),
        Group("cold", "cold users (no history)", ~warm & ~outside),
        Group("outside", "target no candidate (not in training)", outside),
    ]
    return [*fixed, *(g for g in unseen if g.users)]


def warm_users(table: EvalTable) -> Mask:
    """Users with a history, whose target is a candidate: those of `all`."""
    return (table.column(HISTORY_LENGTH) > 0) & ~table.outside()


def strata_of(table: EvalTable, head_from: int | None = None) -> Strata:
    """The strata with the head cut used in reports; None = the data set's cut."""
    return table.strata if head_from is None else replace(table.strata, head_from=head_from)


APART = ("new", "cold", "outside")
"""Groups that no stratum holds."""


def sort_key(key: str) -> tuple[int, int]:
    """Sort key of a group in the order of reports."""
    name, _, number = key.partition("=")
    return ("all", "tail", "head", "stratum", *APART).index(name), int(number or 0)
