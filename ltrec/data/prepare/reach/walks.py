"""Walks over spans from targets to their neighbours, once or twice: is any neighbour in the user's history?

Users with the same target form one *owner*, whose neighbours are visited once. Neighbours are sorted pieces of keys
owner * (V + 1) + item, in which the histories of the owner's users are looked up.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt

from ltrec.core.ragged import I64
from ltrec.data.prepare.reach.links import PIECE, Links, pieces
from ltrec.data.prepare.reach.sample import TargetQuery

Bools = npt.NDArray[np.bool_]


def walk(links: Links, query: TargetQuery) -> Bools:
    """Whether the target shares a span with an item of the history [n]."""
    targets, owner_n = np.unique(query.target_n, return_inverse=True)
    return _in_history(links, query, owner_n, links.neighbours(np.arange(targets.size), targets))


def walk_twice(links: Links, query: TargetQuery) -> Bools:
    """Whether some item that is not a hub shares a span with the target and one with an item of the history [n]."""
    _, owner_n = np.unique(query.target_n, return_inverse=True)
    second = (key for owner, between in _between(links, query.target_n) for key in links.neighbours(owner, between))
    return _in_history(links, query, owner_n, second)


def visits_of_two(links: Links, query: TargetQuery) -> I64:
    """Number of events that the second walk for each user's target would visit [n]."""
    targets, owner_n = np.unique(query.target_n, return_inverse=True)
    visits = np.zeros(targets.size, np.int64)
    for owner, between in _between(links, query.target_n):
        visits += np.bincount(owner, links.visits_V[between], targets.size).astype(np.int64)
    return visits[owner_n]


def _between(links: Links, target_n: I64) -> Iterator[tuple[I64, I64]]:
    """Pieces of (owner, neighbour of its target that is not a hub)."""
    targets = np.unique(target_n)
    for key in links.neighbours(np.arange(targets.size), targets):
        owner, item = np.divmod(key, len(links.visits_V))
        rare = (item > links.hubs) & (item != targets[owner])
        if rare.any():
            yield owner[rare], item[rare]


def _in_history(links: Links, query: TargetQuery, owner_n: I64, found: Iterable[I64]) -> Bools:
    """Whether the user's history contains any of the owner's keys [n]."""
    hit, width = np.zeros(len(owner_n), np.bool_), len(links.visits_V)
    by_owner = np.argsort(owner_n, kind="stable")
    sorted_owner = owner_n[by_owner]
    for key in found:
        low, high = np.searchsorted(sorted_owner, [key[0] // width, key[-1] // width + 1])
        users = by_owner[low:high]
        users = users[~hit[users]]
        for part in pieces(query.length_n[users], PIECE):
            some, who = query.take(users[part]), users[part]
            wanted = np.repeat(owner_n[who], some.length_n) * width + some.histories()
            order = np.argsort(wanted)  # neighbouring places are searched one after the other
            wanted = wanted[order]
            place = np.minimum(np.searchsorted(key, wanted), len(key) - 1)
            hit[np.repeat(who, some.length_n)[order[key[place] == wanted]]] = True
    return hit
