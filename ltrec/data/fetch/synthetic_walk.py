"""The items of a synthetic log: a catalogue with two orders of its items, and a walk of all users through it.

The generative model is described in `synthetic.py` (2-4). Letters: N users (most active first), T events, M items, C clusters,
E periods, R = 2 regimes (0 tail, 1 head).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Detour = Callable[[Ints, Ints, Ints], Ints]
"""Takes users away from where the model sends them: event they come from [n], its item [n], next item [n] -> next item."""

_FOLLOW = 0.55
_STEP_SHARES = np.cumsum([0.4, 0.3, 0.2, 0.1])
_JUMP_SHARES = np.cumsum([0.35, 0.25, 0.25, 0.15])  # same cluster, neighbour, home, popular
_ITEM_ZIPF = 0.8
_PERIODS = 24


@dataclass(frozen=True, slots=True)
class SyntheticCatalogue:
    """Items 0..M-1, ordered by cluster."""

    first_C: Ints  # first item of each cluster
    size_C: Ints
    cluster_M: Ints
    ring_RM: Ints  # items in ring order, cluster by cluster
    place_RM: Ints  # position of an item in ring_RM
    popular_RC: Floats  # cumulative cluster popularity
    weight_EM: Floats  # cumulative item weights over all items of period 0, then of period 1, ...
    label_M: Ints  # the item's public number


def make_catalogue(items: int, rng: np.random.Generator) -> SyntheticCatalogue:
    """A random catalogue of `items` items."""
    clusters = max(2, min(64, round(items**0.5 / 2)))
    cluster_M = np.arange(items) * clusters // items
    size_C = np.bincount(cluster_M, minlength=clusters)
    first_C = np.cumsum(size_C) - size_C
    ring_RM = np.stack([np.argsort(cluster_M + rng.random(items), kind="stable") for _ in range(2)])
    zipf_C = 1.0 / np.arange(1, clusters + 1)
    rank_M = np.arange(items) - first_C[cluster_M] + 1
    middle_E = (np.arange(_PERIODS) + 0.5) / _PERIODS
    distance_EM = middle_E[:, None] - rng.random(items)[None, :]
    weight_EM = rank_M**-_ITEM_ZIPF * (0.2 + 3.0 * np.exp(-((distance_EM / 0.15) ** 2) / 2))
    return SyntheticCatalogue(
        first_C=first_C,
        size_C=size_C,
        cluster_M=cluster_M,
        ring_RM=ring_RM,
        place_RM=np.argsort(ring_RM, axis=1, kind="stable"),
        popular_RC=np.cumsum(np.stack([zipf_C, zipf_C[::-1]]) / zipf_C.sum(), axis=1),
        weight_EM=np.cumsum(weight_EM).reshape(weight_EM.shape),
        label_M=np.argsort(rng.random(items), kind="stable"),
    )


def walk(
    catalogue: SyntheticCatalogue,
    quantile_N: Floats,
    length_N: Ints,
    offset_N: Ints,
    time_T: Floats,
    rng: np.random.Generator,
    detour: Detour | None = None,
) -> Ints:
    """Items of all events [T], user by user, given each user's activity quantile, number of events and first event.

    All users are advanced together, position by position; they are sorted by length, so those with events left are a prefix.
    """
    head_N = head_share(quantile_N)
    period_T = np.minimum((time_T * _PERIODS).astype(np.int64), _PERIODS - 1)
    home_N = _popular_cluster(catalogue, (rng.random(len(head_N)) < head_N).astype(np.int64), rng)
    item_T = np.empty(len(time_T), dtype=np.int64)
    item_T[offset_N] = item_N = _draw_item(catalogue, home_N, period_T[offset_N], rng)
    going = np.searchsorted(-length_N, -np.arange(length_N[0]), side="left")  # users with more than p events
    for position in range(1, int(length_N[0])):
        n = int(going[position])
        regime_N = (rng.random(n) < head_N[:n]).astype(np.int64)
        cluster_N = _next_cluster(catalogue, item_N[:n], home_N[:n], regime_N, rng)
        jump_N = _draw_item(catalogue, cluster_N, period_T[offset_N[:n] + position], rng)
        followed_N = _follow(catalogue, item_N[:n], regime_N, rng)
        next_N = np.where(rng.random(n) < _FOLLOW, followed_N, jump_N)
        if detour is not None:
            next_N = detour(offset_N[:n] + position - 1, item_N[:n], next_N)
        item_N = next_N
        item_T[offset_N[:n] + position] = item_N
    return item_T


def head_share(quantile_N: Floats) -> Floats:
    """h(q): the probability that a user with this activity acts in the head's regime."""
    share_N: Floats = 1.0 / (1.0 + np.exp(-12.0 * (quantile_N - 0.7)))
    return share_N


def _follow(catalogue: SyntheticCatalogue, item_N: Ints, regime_N: Ints, rng: np.random.Generator) -> Ints:
    """The item one to four positions further on the regime's ring of the item's cluster."""
    cluster_N = catalogue.cluster_M[item_N]
    step_N = 1 + np.searchsorted(_STEP_SHARES[:-1], rng.random(len(item_N)), side="right")
    first_N = catalogue.first_C[cluster_N]
    place_N = (catalogue.place_RM[regime_N, item_N] - first_N + step_N) % catalogue.size_C[cluster_N]
    return catalogue.ring_RM[regime_N, first_N + place_N]


def _next_cluster(catalogue: SyntheticCatalogue, item_N: Ints, home_N: Ints, regime_N: Ints, rng: np.random.Generator) -> Ints:
    cluster_N = catalogue.cluster_M[item_N]
    neighbour_N = (cluster_N + 1 - 2 * regime_N) % len(catalogue.size_C)
    kind_N = np.searchsorted(_JUMP_SHARES[:-1], rng.random(len(item_N)), side="right")
    return np.choose(kind_N, [cluster_N, neighbour_N, home_N, _popular_cluster(catalogue, regime_N, rng)])


def _popular_cluster(catalogue: SyntheticCatalogue, regime_N: Ints, rng: np.random.Generator) -> Ints:
    draw_N, last = rng.random(len(regime_N)), len(catalogue.size_C) - 1
    tail, head = (np.searchsorted(running_C, draw_N, side="right") for running_C in catalogue.popular_RC)
    return np.minimum(np.where(regime_N == 1, head, tail), last)


def _draw_item(catalogue: SyntheticCatalogue, cluster_N: Ints, period_N: Ints, rng: np.random.Generator) -> Ints:
    """A random item of the cluster by the weights of the period: one search in the cumulative weights of all periods."""
    running = catalogue.weight_EM.ravel()
    first_N = period_N * len(catalogue.cluster_M) + catalogue.first_C[cluster_N]
    last_N = first_N + catalogue.size_C[cluster_N] - 1
    below_N = np.where(first_N > 0, running[first_N - 1], 0.0)
    target_N = below_N + rng.random(len(cluster_N)) * (running[last_N] - below_N)
    found_N = np.clip(np.searchsorted(running, target_N, side="right"), first_N, last_N)
    item_N: Ints = found_N % len(catalogue.cluster_M)
    return item_N
