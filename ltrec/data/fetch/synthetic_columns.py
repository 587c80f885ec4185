"""Columns of a synthetic log that predict the next item to a known degree, and new items.

Items are divided into G categories of nearly equal size, and each category into a cheap and an expensive half: 2 G *segments*. They
are independent of the clusters and rings of the walk, so columns carry information that item ids do not. Letters: N users,
T events, M items, S segments.

    event_type   view (0.7) or purchase (0.3)
    dwell        seconds: log-normal around 60 if the user is interested (probability p = `category_share`), else around 8
    price        of the event: that of the item (log-normal around 10 or 100), less a discount of up to 10 %
    category     of the item; also `tags`: its price class and a random tag; `price`: its list price

**Information.** The step of an interested user is *predictable* with probability 1 - h(q), where h(q) is how often the user acts
in the head's regime: the next item is then uniform over a segment. Its category is that of the current item after a view, and the
next one (modulo G) after a purchase; its price class is that of the current item. So a share p (1 - h(q)) of the steps is
predictable, and of M items

    category and event_type leave M / G (about 20);   price leaves half of them;   dwell shows which steps are predictable.

The share is largest for the least active users: the value of columns grows as histories get shorter, and the most active users
gain nothing.

**Noise** is the same log (users, items and times to the last byte) with the columns permuted, over events and over items: they
keep their distributions and carry no information.

**New items** have columns but are not in the catalogue. The last event of one in ten users with at least three events goes to a new
item of the segment that a predictable step would lead to, at least a second after the previous event. With leave-one-out, new
items occur only as test targets.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ltrec.data.fetch.synthetic_walk import Floats, Ints, head_share

_PURCHASE = 0.3
_INTERESTED_S, _NOT_INTERESTED_S, _DWELL_SPREAD = 60.0, 8.0, 0.3
_PRICES, _PRICE_SPREAD, _DISCOUNT = (10.0, 100.0), 0.2, 0.1
_NEW_SHARE = 0.1
_ITEMS_PER_CATEGORY = 20
_MEANINGLESS_TAGS = 7

Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class _Segments:
    """Items grouped by segment: segment s is item_R[first_S[s] : first_S[s] + size_S[s]]."""

    item_R: Ints
    first_S: Ints
    size_S: Ints

    @staticmethod
    def of(segment_M: Ints, count: int, start: int) -> _Segments:
        """Group items start, start + 1, ... by their segments, of which there are `count`."""
        size_S = np.bincount(segment_M, minlength=count)
        return _Segments(np.argsort(segment_M, kind="stable") + start, np.cumsum(size_S) - size_S, size_S)

    def draw(self, segment_n: Ints, draw_n: Floats) -> Ints:
        """A uniformly drawn item of each given segment; -1 if the segment is empty."""
        size_n = self.size_S[segment_n]
        place_n = self.first_S[segment_n] + np.floor(draw_n * size_n).astype(np.int64)
        return np.where(size_n > 0, np.append(self.item_R, -1)[np.where(size_n > 0, place_n, -1)], -1)


@dataclass(frozen=True, slots=True)
class SyntheticColumns:
    """Everything that is drawn before the walk, and how it changes the walk.

    Attributes:
        category_M, dear_M, price_M, tag_M: of every item, new items last; dear = expensive.
        purchase_T, predictable_T, dwell_T, discount_T: of every event, user by user; predictable: the step *from* it.
        old, new: items of the catalogue, and new items.
        ends_N: whether a user's last event may go to a new item.
        rng: for all further draws.
    """

    category_M: Ints
    dear_M: Flags
    price_M: Floats
    tag_M: Ints
    purchase_T: Flags
    predictable_T: Flags
    dwell_T: Floats
    discount_T: Floats
    old: _Segments
    new: _Segments
    ends_N: Flags
    rng: np.random.Generator

    @property
    def categories(self) -> int:
        """G."""
        return int(self.category_M.max()) + 1

    def detour(self, event_n: Ints, item_n: Ints, next_n: Ints) -> Ints:
        """The next item of the walk or, if the step is predictable, an item of its segment."""
        drawn_n = self.old.draw(self.segment_after(event_n, item_n), self.rng.random(len(item_n)))
        return np.where(self.predictable_T[event_n] & (drawn_n >= 0), drawn_n, next_n)

    def segment_after(self, event_n: Ints, item_n: Ints) -> Ints:
        """The segment that a predictable step leads to: 2 x category + price class."""
        category_n = (self.category_M[item_n] + self.purchase_T[event_n]) % self.categories
        return 2 * category_n + self.dear_M[item_n]

    def end_with_new_items(self, item_T: Ints, seconds_T: Ints, offset_N: Ints, length_N: Ints) -> None:
        """Replace the last items of some users by new items, in place."""
        last_N = offset_N + length_N - 1
        last_n = last_N[self.ends_N & _has_two_before(item_T, seconds_T, offset_N, last_N)]
        new_n = self.new.draw(self.segment_after(last_n - 1, item_T[last_n - 1]), self.rng.random(len(last_n)))
        last_n, new_n = last_n[new_n >= 0], new_n[new_n >= 0]
        item_T[last_n] = new_n
        seconds_T[last_n] = np.maximum(seconds_T[last_n], seconds_T[last_n - 1] + 1)

    def shown(self, *, informative: bool) -> SyntheticColumns:
        """The columns that are written to the log: as they are, or permuted."""
        if informative:
            return self
        item_M = np.argsort(self.rng.random(len(self.category_M)), kind="stable")
        event_T = np.argsort(self.rng.random(len(self.dwell_T)), kind="stable")
        of_items = {name: getattr(self, name)[item_M] for name in ("category_M", "dear_M", "price_M", "tag_M")}
        return replace(self, **of_items, **{name: getattr(self, name)[event_T] for name in ("purchase_T", "dwell_T", "discount_T")})

    def with_events(self, table: pa.Table, item_T: Ints, order: Ints) -> pa.Table:
        """The log with event columns, in the order of the log."""
        price_T = self.price_M[item_T] * (1.0 - self.discount_T)
        types = pa.array(["view", "purchase"]).take(pa.array(self.purchase_T[order].astype(np.int8)))
        columns = {"event_type": types, "price": _float32(price_T[order]), "dwell": _float32(self.dwell_T[order])}
        for name, values in columns.items():
            table = table.append_column(pa.field(name, values.type, nullable=False), values)
        return table

    def items_table(self, item_id: pa.Array) -> pa.Table:
        """The item table, including new items, in the order of ids."""
        category = [f"c{number:03d}" for number in self.category_M]
        tags = [["dear" if dear else "cheap", f"t{tag}"] for dear, tag in zip(self.dear_M, self.tag_M, strict=True)]
        table = pa.table(
            {"item_id": item_id.cast(pa.string()), "category": category, "tags": tags, "price": _float32(self.price_M)}
        )
        return table.sort_by("item_id")


def draw_columns(
    items: int, new_items: int, share: float, quantile_N: Floats, length_N: Ints, rng: np.random.Generator
) -> SyntheticColumns:
    """Draw everything that does not depend on the walk.

    Args:
        items: size of the catalogue.
        new_items: number of new items.
        share: of steps in the tail's regime that columns predict.
        quantile_N: activity of every user.
        length_N: number of events of every user.
        rng: a generator that is used for nothing else.
    """
    total, events = items + new_items, int(length_N.sum())
    categories = max(2, items // _ITEMS_PER_CATEGORY)
    place_M = np.concatenate([np.argsort(rng.random(count), kind="stable") for count in (items, new_items)])
    category_M, dear_M = place_M % categories, place_M // categories % 2 == 1
    segment_M = 2 * category_M + dear_M
    interested_T = rng.random(events) < share
    tail_T = np.repeat(1.0 - head_share(quantile_N), length_N)
    return SyntheticColumns(
        category_M=category_M,
        dear_M=dear_M,
        price_M=np.take(_PRICES, dear_M.astype(np.int64)) * np.exp(_PRICE_SPREAD * _bell(total, rng)),
        tag_M=np.floor(rng.random(total) * _MEANINGLESS_TAGS).astype(np.int64),
        purchase_T=rng.random(events) < _PURCHASE,
        predictable_T=interested_T & (rng.random(events) < tail_T),
        dwell_T=np.where(interested_T, _INTERESTED_S, _NOT_INTERESTED_S) * np.exp(_DWELL_SPREAD * _bell(events, rng)),
        discount_T=_DISCOUNT * rng.random(events),
        old=_Segments.of(segment_M[:items], 2 * categories, 0),
        new=_Segments.of(segment_M[items:], 2 * categories, items),
        ends_N=rng.random(len(quantile_N)) < _NEW_SHARE,
        rng=rng,
    )


def _has_two_before(item_T: Ints, seconds_T: Ints, offset_N: Ints, last_N: Ints) -> Flags:
    """Whether at least two distinct events precede the last: without exact duplicates, the user still has three events."""
    event_T = seconds_T * (item_T.max() + 1) + item_T
    event_T[last_N] = event_T[offset_N]
    return np.maximum.reduceat(event_T, offset_N) > np.minimum.reduceat(event_T, offset_N)


def _bell(count: int, rng: np.random.Generator) -> Floats:
    """Approximately normal: the sum of twelve uniforms less six, which is the same in every version of numpy."""
    found: Floats = rng.random((12, count)).sum(axis=0) - 6.0
    return found


def _float32(values: Floats) -> pa.Array:
    return pa.array(values.astype(np.float32))
