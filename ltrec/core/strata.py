"""Strata: users grouped by activity, the confounder that PIN adjusts for.

Cuts fall *between* distinct activity values (ties forbid exact quantiles), are found on training events only, and travel with the
data in the manifest. The head is a cut of its own, nearest to the top fifth of the users, independent of K.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Annotated, NamedTuple

import numpy as np
import numpy.typing as npt

from ltrec.core.bounds import INT32, INT64, Between, check_fields
from ltrec.core.errors import UserError


@dataclass(frozen=True, slots=True)
class Strata:
    """K activity classes, least active first.

    Attributes:
        lower_bounds: smallest activity (training events) of each stratum, ascending; a user with activity a belongs to the last
            stratum whose bound is <= a, and to none (-1) below the first.
        users: training users per stratum.
        events: training events per stratum (before the history cap).
        head_from: smallest activity of a head user.
    """

    lower_bounds: tuple[Annotated[int, Between(0, INT32)], ...]
    users: tuple[Annotated[int, Between(0, INT64)], ...]
    events: tuple[Annotated[int, Between(0, INT64)], ...]
    head_from: Annotated[int, Between(0, INT32)]

    def __post_init__(self) -> None:
        check_fields(self)
        if not len(self.lower_bounds) == len(self.users) == len(self.events):
            counts = f"{len(self.lower_bounds)}, {len(self.users)} and {len(self.events)}"
            raise ValueError(f"lower_bounds, users and events must be of the same strata; got {counts} numbers")
        if self.lower_bounds and self.head_from < 1:
            raise ValueError("head_from must be at least 1; got 0")
        if list(self.lower_bounds) != sorted(set(self.lower_bounds)):
            raise ValueError(f"lower_bounds must rise; got {list(self.lower_bounds)}")

    @property
    def count(self) -> int:
        """K."""
        return len(self.lower_bounds)

    @property
    def first_head(self) -> int:
        """The first stratum of the head, if whole strata are divided into tail and head: the one whose lower bound is nearest to
        `head_from` by ratio, never the lowest; K when there is only one stratum."""
        wanted = self.head_from
        ratios = {z: max(low, wanted) / min(low, wanted) for z, low in enumerate(self.lower_bounds) if z}
        return min(ratios, key=lambda z: (ratios[z], -z)) if ratios else self.count

    def of(self, activity: npt.NDArray[np.integer]) -> npt.NDArray[np.int8]:
        """Stratum index of each activity, -1 where it lies below the first bound. Shape kept."""
        return (np.searchsorted(np.asarray(self.lower_bounds), activity, side="right") - 1).astype(np.int8)

    def serving(self, length: npt.NDArray[np.integer]) -> npt.NDArray[np.int64]:
        """Stratum that serves a history of each length: as `of`, but the lowest one for lengths below the first bound, since new
        users must be served too. Shape kept."""
        return np.maximum(self.of(length), 0).astype(np.int64)

    def heirs(self, trained: Collection[int]) -> tuple[int, ...]:
        """The stratum whose plugin serves each of these: its own where that is trained, else the nearest trained one (equally near:
        the lower one).

        The trunk alone would not do: in stage 2 it is only trained as a part of the trained strata's models, and a plugin need not
        begin as the identity. The stratum nearest in activity is the best substitute that the data offer.

        Args:
            trained: the strata that are trained, at least one.
        """
        return tuple(min(sorted(trained), key=lambda other: abs(other - z)) for z in range(self.count))

    def merged(self, count: int) -> MergedStrata:
        """Fewer strata, each a run of neighbours of these.

        Two strata are the tail and the head, divided at `first_head`. Any other number takes the cuts nearest to equal user shares,
        the lowest cut first, each leaving one for every cut that follows (equally near: the lower one).

        Args:
            count: n, at least 1.

        Raises:
            UserError: there are fewer strata than that.
        """
        assert count >= 1
        if count > self.count:
            raise UserError(
                f"strata={count} is more than the data set has, {self.count}; use {self.count} at most, "
                f"or prepare it again with strata={count} --overwrite (ties in activity may allow no more)"
            )
        first = [0, self.first_head] if count == 2 else _near_equal(self.users, count)
        stratum_map = np.repeat(np.arange(count), np.diff([*first, self.count]))
        users, events = (tuple(np.add.reduceat(column, first).tolist()) for column in (self.users, self.events))
        fewer = Strata(tuple(self.lower_bounds[z] for z in first), users, events, self.head_from)
        return MergedStrata(fewer, tuple(stratum_map.tolist()))

    def names(self) -> tuple[str, ...]:
        """Readable ranges such as ``5-8`` and ``21+``."""
        ends = [*(b - 1 for b in self.lower_bounds[1:]), None]
        return tuple(
            f"{lo}+" if hi is None else (f"{lo}" if lo == hi else f"{lo}-{hi}")
            for lo, hi in zip(self.lower_bounds, ends, strict=True)
        )

    def user_shares(self) -> tuple[float, ...]:
        """P(z) by users."""
        total = sum(self.users)
        return tuple(u / total for u in self.users)


class MergedStrata(NamedTuple):
    """Strata merged from those of a data set, and the stratum map from old to new strata."""

    strata: Strata
    stratum_map: tuple[int, ...]


def _near_equal(users: tuple[int, ...], count: int) -> list[int]:
    """Where each of `count` runs of neighbouring strata begins, such that each cut is as near as possible to equal user shares."""
    below = np.cumsum(users)
    first = [0]
    for cut in range(1, count):
        possible = range(first[-1] + 1, len(users) - (count - cut) + 1)
        first.append(min(possible, key=lambda z: abs(int(below[z - 1]) * count - int(below[-1]) * cut)))
    return first
