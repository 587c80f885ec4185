"""Regression: the weights of an item's sources that together predict it best, instead of each source's own count.

Counts weigh every source by itself, so of two items that always come together both are paid in full for what follows either, and
popular sources are paid for what would have come anyway. A ridge regression of what comes next on what was there shares it out:

    b_j     = argmin  b^T G b - 2 b^T M_j + ridge |b|^2   =  (G + ridge)^-1 M_j       weights of the sources of item j
    M[i, j]   the counts of `NeighboursConfig`, without the diagonal
    G[i, k]   = (M[i, k] + M[k, i]) / (1 + backward_share),  G[i, i] = n_i, the events of i

G is the Gram matrix of the histories: of all pairs of a user's events, at a distance of g events gap_decay^g. It is the linear
model of SLIM (Ning & Karypis, ICDM 2011) in closed form (EASE, Steck, WWW 2019) with an order of events (SLIST, Choi et al., WWW
2021). An exact solution takes V^3 operations and V^2 numbers. Here it is cut to what the data can tell:

    sources   those with the largest M[i, j] / (n_i + ridge), what each would be given alone; G is of such pairs, either way
    together  as many of them, the strongest, as item j has events: a regression has no more coefficients than observations; the
              other sources keep what each is given alone

That takes systems of min(sources, n_j) equations, and about 100 bytes for every pair while they are sorted.

Weights of 0 or less are left out: such a source says nothing for the item. They are float64 solutions, rounded to float32, which
another library for linear algebra gives to rounding alone.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from ltrec.core.errors import UserError
from ltrec.core.ragged import I64
from ltrec.data.neighbours.strongest import places_by_weight
from ltrec.data.neighbours.sums import added
from ltrec.data.neighbours.ties import ONE, Floats

_PAD = 8  # systems are of a multiple of this many equations, so that many have the same number
_NUMBERS = 1 << 21  # of the systems that are solved together
_LEAST_HELD = 1 << 22  # pairs that are held before the first are forgotten; later as many again as are kept


class Regression:
    """Counted pairs, of which the strongest sources of every item are kept.

    Args:
        events: n, how many events each item has [V+1].
        ridge: events that every source has besides its own, which predict nothing; above 0.
        sources: most sources of an item.
        backward_share: of the counts.
    """

    def __init__(self, events: I64, ridge: float, sources: int, backward_share: float) -> None:
        self._own, self._ridge, self._sources, self._both = events + ridge, ridge, sources, 1 + backward_share
        self._events, self._width = events, events.size
        self._key, self._total = np.zeros(0, np.int64), np.zeros(0, np.int64)
        self._new: list[tuple[I64, I64]] = []
        self._held = 0

    def add(self, source: I64, item: I64, total: I64) -> None:
        """Add pairs that were not added before, with their counts in units of 1 / ONE."""
        self._new.append((item * self._width + source, total))
        self._held += total.size
        if self._held > max(_LEAST_HELD, self._key.size):
            self._keep_strongest()

    def weights(self) -> Iterator[tuple[I64, I64, Floats]]:
        """Sources, their items and the weights above 0, in portions, in no order.

        Raises:
            UserError: `ridge` is so small that equations have no solution.
        """
        together = self._keep_strongest()
        item, source = np.divmod(self._key, self._width)
        counts = self._total / ONE
        yield source[~together], item[~together], counts[~together] / self._own[source[~together]]
        pairs = _Between(self._key, self._total, self._width)
        item, source, counts = item[together], source[together], counts[together]
        first = np.flatnonzero(np.diff(item, prepend=-1))
        for some, equations in _systems(np.diff(first, append=item.size)):
            place = first[some, None] + np.arange(equations)
            there = place < np.append(first, item.size)[some + 1, None]
            place = np.where(there, place, 0)
            sources = np.where(there, source[place], 0)
            found = self._solved(sources, np.where(there, counts[place], 0.0), pairs)
            kept = there & (found > 0)
            yield sources[kept], np.broadcast_to(item[first[some], None], kept.shape)[kept], found[kept]

    def _keep_strongest(self) -> npt.NDArray[np.bool_]:
        """Forget all but the strongest sources of every item; of those that are kept, which ones are regressed together."""
        key = np.concatenate([self._key, *(key for key, _ in self._new)])
        total = np.concatenate([self._total, *(total for _, total in self._new)])
        order = np.argsort(key)
        key, total = key[order], total[order]
        item, source = np.divmod(key, self._width)
        rank = places_by_weight(item, (total / self._own[source]).astype(np.float32))
        kept = rank < self._sources
        self._key, self._total, self._new, self._held = key[kept], total[kept], [], 0
        together: npt.NDArray[np.bool_] = (rank < self._events[item])[kept]
        return together

    def _solved(self, source: I64, counts: Floats, pairs: _Between) -> Floats:
        """(G + ridge)^-1 M_j of several items; sources 0 are places that none needs.

        Args:
            source: [B, n], ascending in every row but for the zeros at its end.
            counts: M_j [B, n].
            pairs: counts between sources.
        """
        one, other = np.triu_indices(source.shape[1], 1)
        system = np.zeros((*source.shape, source.shape[1]))
        system[:, one, other] = system[:, other, one] = pairs.of(source[:, one], source[:, other]) / self._both
        every = np.arange(source.shape[1])
        system[:, every, every] = np.where(source > 0, self._own[source], 1.0)
        try:
            solved: Floats = np.linalg.solve(system, counts[..., None])[..., 0]
        except np.linalg.LinAlgError:
            raise UserError(f"`ridge`={self._ridge:g} leaves a regression without a solution; set a larger one") from None
        return solved


def _systems(count: I64) -> Iterator[tuple[I64, int]]:
    """Numbers of items with so many sources, in portions, and how many equations those of a portion have."""
    size = -(-count // _PAD) * _PAD
    for equations in np.unique(size).tolist():
        alike = np.flatnonzero(size == equations)
        step = max(1, _NUMBERS // equations**2)
        for low in range(0, alike.size, step):
            yield alike[low : low + step], equations


class _Between:
    """M[i, k] + M[k, i] of the pairs with these keys."""

    def __init__(self, key: I64, total: I64, width: int) -> None:
        item, source = np.divmod(key, width)
        self._width = width
        self._key, self._total = added([(np.minimum(item, source) * width + np.maximum(item, source), total)])

    def of(self, one: I64, other: I64) -> Floats:
        """For pairs of items, the first the smaller one; sought in the order of keys, row by row, which a cache likes."""
        wanted = one * self._width + other
        place = np.minimum(np.searchsorted(self._key, wanted), max(0, self._key.size - 1))
        found: Floats = np.where(self._key[place] == wanted, self._total[place] / ONE, 0.0)
        return found
