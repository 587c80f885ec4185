"""Item vectors, users and an index of them, for the tests of nearest neighbours; the naive reference scores every item."""

from __future__ import annotations

import numpy as np
import torch

from ltrec.inference.lists import ListRules
from ltrec.inference.nearest.graph import ItemGraph
from ltrec.inference.nearest.options import IndexOptions
from ltrec.inference.nearest.ranking import NearestRanking
from ltrec.models.scoring import all_scores


def item_table(items: int, width: int = 8, *, seed: int = 0, clusters: int = 6) -> torch.Tensor:
    """Vectors [V+1, D] in clusters, of various lengths; padding is zero."""
    draw = np.random.default_rng(seed)
    centres = draw.normal(size=(clusters, width))
    vectors = centres[draw.integers(0, clusters, items)] + 0.6 * draw.normal(size=(items, width))
    vectors *= draw.lognormal(0, 0.4, (items, 1))
    return torch.from_numpy(np.vstack([np.zeros((1, width)), vectors]).astype(np.float32))


def last_item_states(table_VD: torch.Tensor):
    """Users -> the vector of their last item."""
    return lambda chunk: table_VD[chunk.seen_T[chunk.seen_offsets[1:] - 1]].clone()


def nearest(table_VD: torch.Tensor, rules: ListRules, *, expansion: int = 64, **options) -> NearestRanking:
    """An index of the table."""
    graph = ItemGraph.build(table_VD[1:].numpy(), IndexOptions(**options), 1)
    return NearestRanking(last_item_states(table_VD), table_VD, graph, rules, expansion)


def naive_best(table_VD: torch.Tensor, chunk, rules: ListRules, candidates=None) -> list[list[int]]:
    """The lists by all scores, one user after another."""
    scores_BV, found = all_scores(last_item_states(table_VD)(chunk), table_VD), []
    for user, scores in enumerate(scores_BV.tolist()):
        seen = chunk.seen_T[chunk.seen_offsets[user] : chunk.seen_offsets[user + 1]].tolist()
        items = range(1, len(scores)) if candidates is None or candidates[user] is None else {*candidates[user].tolist()} - {0}
        allowed = [v for v in items if rules.allowed_V is None or rules.allowed_V[v]]
        left = [v for v in allowed if not (rules.filter_seen and v in seen)]
        found.append(sorted(left, key=lambda v: (-scores[v], v))[: rules.k])
    return found


def lists_of(value_BK: torch.Tensor, item_BK: torch.Tensor) -> list[list[int]]:
    """Items without what is none."""
    return [items[value > -torch.inf].tolist() for value, items in zip(value_BK, item_BK, strict=True)]
