"""Groups of users on the page: all, tail, head, strata; by reach of the target; by item stratum of the target."""

from __future__ import annotations

import numpy as np

from benchmarks.longtail.ranks import Users
from ltrec.data.reach import BEYOND, ONE_LINK, REPEAT, TWO_LINKS
from ltrec.evaluation.config import EvaluationConfig
from ltrec.evaluation.groups.targets import target_groups
from ltrec.evaluation.groups.users import APART, Group, groups, warm_users

REACHED, UNREACHED = "reached", "unreached"


def parts(users: Users, config: EvaluationConfig) -> list[Group]:
    """The non-empty groups, in the order of the page; those by reach only if it is known."""
    found = [group for group in groups(users.table, config.head_from) if group.key not in APART]
    found += _by_reach(users) + target_groups(users.table, config.item_shares)
    return [group for group in found if group.users > 1]


def _by_reach(users: Users) -> list[Group]:
    distance_N, warm_N = users.reach(), warm_users(users.table)
    if distance_N is None:
        return []
    return [
        Group(REACHED, "target within one link of the history", warm_N & np.isin(distance_N, (REPEAT, ONE_LINK))),
        Group(UNREACHED, "target farther than one link", warm_N & np.isin(distance_N, (TWO_LINKS, BEYOND))),
    ]
