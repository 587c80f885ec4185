"""A synthetic event log in which activity is a confounder, so that methods for tail users can have an effect.

**The model.** Users u = 1..N; items 1..M in C clusters of nearly equal size; a log of one year. q_u in (0, 1) is the user's
activity quantile.

1. *Activity.* The number of events follows a Pareto law, P(n >= x) ~ x^-1.7, cut at 100 times the mean, rounded, at least 2. User
   number k of N by activity has q = (k - 1/2) / N, so the histogram of activity does not vary with the seed.
2. *Taste depends on activity.* There are two regimes, T (tail) and H (head). At every event the user acts in regime H with
   probability h(q) = 1 / (1 + exp(-12 (q - 0.7))): 0.08 for the median user, 0.97 at the very top. The regimes differ in what is
   popular and in what follows what:
     * popularity of clusters: Zipf(1) over the clusters, in one order for T and in the reverse order for H;
     * item order: in every cluster, each regime has its own random *ring* of the items;
     * cluster order: T moves on to the next cluster, H to the one before.
   Each user has a home cluster, drawn by the popularity of a regime that is H with probability h(q).
3. *The next item*, given the last item i of cluster c, in regime r:
     * with probability 0.55 it follows i on the ring of r, by 1, 2, 3 or 4 places (0.4, 0.3, 0.2, 0.1): the sequential signal;
     * otherwise a cluster is chosen (0.35 c itself, 0.25 its neighbour in r, 0.25 home, 0.15 by popularity in r) and one of its
       items is drawn by the items' weights at that time.
   A user's first item is drawn from home.
4. *Popularity drifts.* The item of rank k in its cluster weighs k^-0.8 (0.2 + 3 exp(-((t - peak) / 0.15)^2 / 2)), where t in [0, 1]
   is the time of the year and peak a uniform number of the item's own; weights are held constant over each of 24 periods.
5. *Times.* A user arrives at a uniform time of the first 90 % and stays for a uniform part of what remains. A step has no gap
   with probability 0.35 (a tie, to the second), else an exponential gap, rescaled to the stay. Rows are in order of time; tied
   rows of one user are in their true order.

6. *Columns*, on request: event types, prices, dwell times and item categories that predict the next item by a known
   amount, or nothing; and new items (`synthetic_columns.py`).

**Why it confounds.** Activeness Z drives both taste (2) and how often a user is seen (1): the most active fifth has half of all
events. P(next | last), pooled over events, is therefore mostly the head's, and wrong for the tail, whose transitions are others;
from a short history the regime can hardly be seen. In the default shape a table of transitions, given each user's last item,
reaches NDCG@10 .31 for the tail half and .34 for the top fifth when every event counts the same, but .35 and .28 when every user
does: there is something to gain for the tail, and the head can be made to pay for it.

**Deterministic.** Only `PCG64` doubles and inverse distribution functions are used, never numpy's samplers, whose streams may
change between versions. A user may repeat an item (one event in ten in the default shape); nothing here removes repeats.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import pyarrow as pa

from ltrec.core.bounds import INT64, SHARE, Between, check_fields
from ltrec.data.fetch.events import EVENT_SCHEMA, EVENTS, ITEMS
from ltrec.data.fetch.synthetic_columns import SyntheticColumns, draw_columns
from ltrec.data.fetch.synthetic_walk import Floats, Ints, make_catalogue, walk

_TAIL_INDEX = 1.7
_CAP_IN_MEANS = 100
_TIE = 0.35
_START_S = 1_672_531_200  # 2023-01-01 UTC
_SPAN_S = 365 * 86_400


@dataclass(frozen=True, slots=True)
class SyntheticConfig:
    """Options of the synthetic log."""

    users: Annotated[int, Between(2, 100_000_000)] = 5_000
    """N, number of users."""
    items: Annotated[int, Between(10, 1_000_000)] = 1_000
    """M, size of the catalogue; in a short log some items may not occur."""
    seed: Annotated[int, Between(0, INT64)] = 0
    """Seed of the catalogue (rings, popularity) and of the users' behaviour."""
    events_per_user: Annotated[float, Between(3, 10_000)] = 12.0
    """Mean number of events of a user."""
    columns: Literal["none", "informative", "noise"] = "none"
    """Event type, price, dwell time and item category: none, columns that predict the next item, or the same log with uninformative
    ones."""
    category_share: Annotated[float, SHARE] = 0.5
    """Share of steps of tail users that columns predict; head users have fewer."""
    new_items: Annotated[int, Between(0, 1_000_000)] = 0
    """Extra items that occur only as last events; they have columns."""

    def __post_init__(self) -> None:
        """Check the combination of options."""
        check_fields(self)
        if self.new_items and self.columns == "none":
            raise ValueError(
                f"new_items is {self.new_items}, but only columns can identify new items; set columns to informative or noise"
            )


def generate_log(config: SyntheticConfig) -> dict[str, pa.Table]:
    """The tables by file name: the events in order of time, and the items where there are columns. A million events take about a
    second."""
    rng = np.random.Generator(np.random.PCG64(config.seed))
    catalogue = make_catalogue(config.items, rng)
    quantile_N, length_N = _activity(config.users, config.events_per_user)
    user_T = np.repeat(np.arange(config.users), length_N)
    offset_N = np.cumsum(length_N) - length_N
    time_T = _times(user_T, offset_N, length_N, rng)
    columns = _columns(config, quantile_N, length_N)
    detour = None if columns is None else columns.detour
    item_T = walk(catalogue, quantile_N, length_N, offset_N, time_T, rng, detour)
    seconds_T = _START_S + np.floor(time_T * _SPAN_S).astype(np.int64)
    if columns is not None:
        columns.end_with_new_items(item_T, seconds_T, offset_N, length_N)
    order = np.argsort(seconds_T, kind="stable")  # rows of one user are already in true order
    name_N = np.argsort(rng.random(config.users), kind="stable")  # user numbers are independent of activity
    label_M, count = _numbered(catalogue.label_M, config)
    table = pa.table(
        [
            _labels("u", name_N[user_T[order]], config.users),
            _labels("i", label_M[item_T[order]], count),
            pa.array(seconds_T[order]),
        ],
        schema=EVENT_SCHEMA,
    )
    if columns is None:
        return {EVENTS: table}
    known = columns.shown(informative=config.columns == "informative")
    return {EVENTS: known.with_events(table, item_T, order), ITEMS: known.items_table(_labels("i", label_M, count))}


def generate(config: SyntheticConfig) -> pa.Table:
    """The events only."""
    return generate_log(config)[EVENTS]


def _columns(config: SyntheticConfig, quantile_N: Floats, length_N: Ints) -> SyntheticColumns | None:
    """From a stream of draws of their own: a log without columns is what it always was."""
    if config.columns == "none":
        return None
    rng = np.random.Generator(np.random.PCG64([config.seed, 1]))
    return draw_columns(config.items, config.new_items, config.category_share, quantile_N, length_N, rng)


def _numbered(label_M: Ints, config: SyntheticConfig) -> tuple[Ints, int]:
    """Public numbers of the items, the new ones last, and how many there are."""
    count = config.items + config.new_items
    return np.concatenate([label_M, np.arange(config.items, count)]), count


def describe(config: SyntheticConfig) -> str:
    """The notice of a generated log, with the command that generates it."""
    options = f"--users {config.users} --items {config.items} --seed {config.seed} --events-per-user {config.events_per_user:g}"
    if config.columns != "none":
        options += f" --columns {config.columns} --category-share {config.category_share:g} --new-items {config.new_items}"
    return (
        "Synthetic event log: no real user is in it. Made by\n"
        f"    ltrec fetch synthetic {options}\n"
        "The generative model is documented in ltrec/data/fetch/synthetic.py. Free to use and pass on.\n"
    )


def _labels(prefix: str, number_T: Ints, count: int) -> pa.DictionaryArray:
    """Zero-padded names such as u0042, built once per distinct number."""
    width = len(str(count - 1))
    names = pa.array([f"{prefix}{number:0{width}d}" for number in range(count)])
    return names.take(pa.array(number_T))


def _activity(users: int, mean: float) -> tuple[Floats, Ints]:
    """Activity quantile and number of events of every user, most active first; not random."""
    quantile_N = (np.arange(users)[::-1] + 0.5) / users
    low, high = 0.1, mean  # the smallest activity whose log has the wanted mean, by bisection: the mean grows with it
    for _ in range(40):
        least = (low + high) / 2
        low, high = (least, high) if _pareto(quantile_N, least, mean).mean() < mean else (low, least)
    return quantile_N, _pareto(quantile_N, high, mean)


def _pareto(quantile_N: Floats, least: float, mean: float) -> Ints:
    kept = 1.0 - (least / (_CAP_IN_MEANS * mean)) ** _TAIL_INDEX
    length_N = np.floor(least * (1.0 - quantile_N * kept) ** (-1 / _TAIL_INDEX) + 0.5).astype(np.int64)
    whole_N: Ints = np.maximum(length_N, 2)
    return whole_N


def _times(user_T: Ints, offset_N: Ints, length_N: Ints, rng: np.random.Generator) -> Floats:
    """Time of every event in [0, 1), never decreasing within a user."""
    arrival_N = 0.9 * rng.random(len(length_N))
    stay_N = (1.0 - arrival_N) * rng.random(len(length_N))
    gap_T = np.where(rng.random(len(user_T)) < _TIE, 0.0, -np.log1p(-rng.random(len(user_T))))
    gap_T[offset_N] = 0.0
    run_T = np.cumsum(gap_T)
    run_T -= run_T[offset_N][user_T]
    total_N = np.maximum(run_T[offset_N + length_N - 1], 1e-9)
    time_T: Floats = np.minimum(arrival_N[user_T] + stay_N[user_T] * (run_T / total_N[user_T]), 1.0 - 1e-9)
    return time_T
