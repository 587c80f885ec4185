"""Distances of targets: paths over hubs by bitmaps, others by walking over spans. Exact, as if every path had been tried.

    0   the target is in the history
    1   the target is a hub: its bit in the row of an item of the history; else its neighbours are looked up in the history
    2   a hub is linked with both: one AND of two rows; else the neighbours' neighbours, for paths that avoid hubs

A walk begins at the target, because most targets that bitmaps cannot decide are rare items.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from ltrec.core.ragged import I64, prefix_sums
from ltrec.data.prepare.reach.links import PIECE, WORD, Links, pieces
from ltrec.data.prepare.reach.sample import TargetQuery, UserSample
from ltrec.data.prepare.reach.walks import visits_of_two, walk, walk_twice
from ltrec.data.reach import BEYOND, ONE_LINK, REPEAT, TWO_LINKS, UNKNOWN

Bools = npt.NDArray[np.bool_]
MOST_VISITS = 1 << 26
"""Limit for the events visited per split, for one link and again for two."""


def distances(links: Links, sample: UserSample, split: str) -> npt.NDArray[np.int8]:
    """Distance of every user's target [U], int8; -1 = no target, no history, or too many visits."""
    found_U = np.full(len(sample.key_U), UNKNOWN, np.int8)
    user_n = np.flatnonzero(sample.at[split] > 0)
    query = TargetQuery.of(sample, user_n, split)
    distance_n = np.full(user_n.size, BEYOND, np.int8)
    distance_n[_repeated(query)] = REPEAT
    fresh = np.flatnonzero((distance_n == BEYOND) & (query.target_n <= links.hubs))
    distance_n[fresh[_linked_hub(links, query.take(fresh))]] = ONE_LINK
    fresh = np.flatnonzero(distance_n == BEYOND)
    distance_n[fresh[_over_hubs(links, query.take(fresh))]] = TWO_LINKS
    rare = np.flatnonzero((distance_n > ONE_LINK) & (query.target_n > links.hubs))
    known = _affordable(rare, links.visits_V[query.target_n[rare]], query.target_n[rare], MOST_VISITS, user_n.size)
    rare = rare[rare < known]
    distance_n[rare[walk(links, query.take(rare))]] = ONE_LINK
    far = np.flatnonzero(distance_n[:known] == BEYOND)
    known = _affordable(far, visits_of_two(links, query.take(far)), query.target_n[far], MOST_VISITS, known)
    far = far[far < known]
    distance_n[far[walk_twice(links, query.take(far))]] = TWO_LINKS
    found_U[user_n[:known]] = distance_n[:known]
    return found_U


def _affordable(user_m: I64, visits_m: I64, target_m: I64, most: int, before: int) -> int:
    """How many of the first `before` users can be measured with at most `most` visits; a target that occurred before is free."""
    _, first = np.unique(target_m, return_index=True)
    cost = np.zeros_like(visits_m)
    cost[first] = visits_m[first]
    over = np.flatnonzero(np.cumsum(cost) > most)
    return min(before, int(user_m[over[0]])) if over.size else before


def _repeated(query: TargetQuery) -> Bools:
    return _any_of_history(query, lambda item, target: item == target)


def _linked_hub(links: Links, query: TargetQuery) -> Bools:
    """Whether the target, a hub, shares a span with an item of the history [n]."""

    def has_bit(item: I64, target: I64) -> Bools:
        place = target - 1
        bits = links.hub_VW[item, place // WORD] >> (place % WORD).astype(np.uint64)
        holds: Bools = (bits & np.uint64(1)) > 0
        return holds

    return _any_of_history(query, has_bit)


def _any_of_history(query: TargetQuery, holds: Callable[[I64, I64], Bools]) -> Bools:
    """Whether `holds` is true for any item of the history together with the target [n]."""
    found = np.zeros(len(query.target_n), np.bool_)
    for part in pieces(query.length_n, PIECE):
        some = query.take(part)
        each = holds(some.histories().astype(np.int64), np.repeat(some.target_n, some.length_n))
        found[part] = np.logical_or.reduceat(each, prefix_sums(some.length_n)[:-1])
    return found


def _over_hubs(links: Links, query: TargetQuery) -> Bools:
    """Whether some hub shares a span with the target and one with the history [n]."""
    found = np.zeros(len(query.target_n), np.bool_)
    for part in pieces(query.length_n, PIECE // links.hub_VW.shape[1]):
        some = query.take(part)
        around = np.bitwise_or.reduceat(links.hub_VW.take(some.histories(), axis=0), prefix_sums(some.length_n)[:-1], axis=0)
        found[part] = (around & links.hub_VW[some.target_n]).any(axis=1)
    return found
