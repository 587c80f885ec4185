"""Neighbours and recall as their definitions say, in loops over float64: what the fast paths are held against."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Sequence

import numpy as np

from ltrec.data.neighbours.config import NeighboursConfig

History = Sequence[tuple[int, int]]
"""(item, time) of one user's training events, oldest first."""


def follows(items: Sequence[int], config: NeighboursConfig) -> Counter[tuple[int, int]]:
    """F of one order of one user's events."""
    found: Counter[tuple[int, int]] = Counter()
    for i, j in itertools.combinations(range(len(items)), 2):
        if j - i <= config.max_gap:
            found[items[i], items[j]] += config.gap_decay ** (j - i - 1)
    return found


def expected_follows(history: History, config: NeighboursConfig) -> Counter[tuple[int, int]]:
    """F of one user, averaged over every order of every tie."""
    ties = [[item for item, _ in tie] for _, tie in itertools.groupby(history, key=lambda event: event[1])]
    orders = math.prod(math.factorial(len(tie)) for tie in ties)
    found: Counter[tuple[int, int]] = Counter()
    for order in itertools.product(*(itertools.permutations(tie) for tie in ties)):
        for pair, weight in follows(list(itertools.chain(*order)), config).items():
            found[pair] += weight / orders
    return found


def transitions(histories: Sequence[History], num_items: int, config: NeighboursConfig) -> np.ndarray:
    """M, or with `ridge` what the regression makes of it, with rows and columns weighed, before the neighbours are chosen
    [V+1, V+1]."""
    F_VV = np.zeros((num_items + 1, num_items + 1))
    for history in histories:
        for pair, weight in expected_follows(history, config).items():
            F_VV[pair] += weight
    M_VV = F_VV + config.backward_share * F_VV.T
    np.fill_diagonal(M_VV, 0)
    rows, columns = M_VV.sum(1, keepdims=True), M_VV.sum(0, keepdims=True)
    columns = np.where(columns > 0, columns, 1) ** config.column_power
    if config.ridge:
        events_V = Counter(item for history in histories if len(history) > 1 for item, _ in history)
        return np.maximum(regressed(M_VV, np.array([events_V[i] for i in range(num_items + 1)]), config), 0) / columns
    return M_VV / np.where(rows > 0, rows, 1) ** config.row_power / columns


def regressed(M_VV: np.ndarray, events_V: np.ndarray, config: NeighboursConfig) -> np.ndarray:
    """B, item by item: the weights that solve the regression on as many of its strongest sources as it has events; the other ones
    have what each would have alone."""
    own_V = events_V + config.ridge
    sources_of = []
    for j in range(len(M_VV)):
        strongest = sorted(np.flatnonzero(M_VV[:, j]).tolist(), key=lambda i: (-np.float32(M_VV[i, j] / own_V[i]), i))
        sources_of.append(strongest[: config.sources])
    kept_VV = np.zeros_like(M_VV)
    for j, sources in enumerate(sources_of):
        kept_VV[sources, j] = M_VV[sources, j]
    gram_VV = (kept_VV + kept_VV.T) / (1 + config.backward_share) + np.diag(own_V)
    B_VV = kept_VV / np.maximum(own_V, 1)[:, None]
    for j, sources in enumerate(sources_of):
        if together := sources[: events_V[j]]:
            B_VV[together, j] = np.linalg.inv(gram_VV[np.ix_(together, together)]) @ M_VV[together, j]
    return B_VV


def recalled(histories: Sequence[Sequence[int]], M_VV: np.ndarray, decay: float, last: int) -> np.ndarray:
    """m(h) of every history [B, V+1]."""
    m_BV = np.zeros((len(histories), len(M_VV)))
    for b, history in enumerate(histories):
        recent = history[-last:]
        for j, item in enumerate(recent, 1):
            m_BV[b] += decay ** (len(recent) - j) * M_VV[item]
    return m_BV


def as_matrix(item_VN: np.ndarray, weight_VN: np.ndarray) -> np.ndarray:
    """A table of neighbours as a matrix [V+1, V+1]."""
    M_VV = np.zeros((len(item_VN), len(item_VN)))
    for i, j in itertools.product(range(len(item_VN)), range(item_VN.shape[1])):
        if item_VN[i, j]:
            M_VV[i, item_VN[i, j]] += weight_VN[i, j]
    return M_VV
