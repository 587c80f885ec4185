"""What happened to every row of the log: the counts of the manifest's summary, and a check that they add up."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ltrec.data.manifest import Shard
from ltrec.data.prepare.engines.protocol import Engine, counted

QUANTILES = {"min": 0.0, "p25": 0.25, "median": 0.5, "p75": 0.75, "p95": 0.95, "p99": 0.99, "max": 1.0}

OUTSIZED_EVENTS, OUTSIZED_SHARE, MOST_OUTSIZED = 1000, 0.01, 3
"""An id with more events than both of these is reported as implausible; at most so many of each kind are."""

_COUNTS = {
    "users": "count(*)",
    "events": "sum(last - first)",
    "train_events": "sum(train_events)",
    "trainable_users": "count(*) FILTER (WHERE trainable)",
    "short_users": "count(*) FILTER (WHERE count < 3)",
    "held_out_users": "count(*) FILTER (WHERE held_out)",
    "capped_users": "count(*) FILTER (WHERE last - first < count)",
    "capped_events": "sum(count - (last - first))",
    "valid_targets": "count(*) FILTER (WHERE valid_at >= 0)",
    "test_targets": "count(*) FILTER (WHERE test_at >= 0)",
    "cold_valid_targets": "count(*) FILTER (WHERE valid_at = 0)",
    "cold_test_targets": "count(*) FILTER (WHERE test_at = 0)",
}


def count_users(engine: Engine, head_from: int) -> dict[str, int]:
    """Counts over the table `stored`."""
    counts = {**_COUNTS, "head_users": f"count(*) FILTER (WHERE activity >= {head_from})"}
    return dict(zip(counts, counted(engine, f"SELECT {', '.join(counts.values())} FROM stored"), strict=True))


def length_quantiles(engine: Engine) -> dict[str, int]:
    """Quantiles of the users' event counts before the history cap, over the table `stored`."""
    histogram = engine.rows("SELECT count, count(*) FROM stored GROUP BY count ORDER BY count")
    return quantiles(*np.array(histogram, np.int64).reshape(-1, 2).T)


def quantiles(length: npt.NDArray[np.int64], users: npt.NDArray[np.int64]) -> dict[str, int]:
    """Quantiles of lengths, ascending, of which each is that of so many users."""
    below = np.cumsum(users)
    return {name: int(length[np.searchsorted(below, max(1, np.ceil(q * below[-1])))]) for name, q in QUANTILES.items()}


def outsized(engine: Engine, item_counts: npt.NDArray[np.int64]) -> list[dict[str, Any]]:
    """Users and items with implausibly many events, as placeholders such as "guest" have.

    Args:
        engine: with the table `users`, and `items` in its catalogue.
        item_counts: training events per item code [codes].

    Returns:
        (kind, id, events, share of all events) of at most `MOST_OUTSIZED` of each kind, the largest first.
    """
    (events,) = counted(engine, "SELECT sum(count) FROM users")
    largest = f"SELECT user_id, count FROM users WHERE count >= {least_outsized(events)}"
    query = f"{largest} ORDER BY count DESC, user_id LIMIT {MOST_OUTSIZED}"

    def name_of(code: int) -> str:
        ((item,),) = engine.catalogue.execute("SELECT item_id FROM items WHERE code = ?", [code]).fetchall()
        return str(item)

    return entries_of_outsized(engine.rows(query), events, item_counts, name_of)


def least_outsized(events: int) -> int:
    """So many of all events are implausible for one id."""
    return max(OUTSIZED_EVENTS, int(OUTSIZED_SHARE * events)) + 1


def entries_of_outsized(
    users: Sequence[tuple[str, int]], events: int, item_counts: npt.NDArray[np.int64], name_of: Callable[[int], str]
) -> list[dict[str, Any]]:
    """Outsized users (id, events), the largest first, and items, as the manifest has them; `name_of` gives the id of a code."""
    found = [("user", user, int(count), int(count) / events) for user, count in users]
    trained = int(item_counts.sum())
    least = max(OUTSIZED_EVENTS, OUTSIZED_SHARE * trained)
    most = [(code, int(item_counts[code])) for code in np.argsort(-item_counts, kind="stable")[:MOST_OUTSIZED].tolist()]
    found += [("item", name_of(code), count, count / trained) for code, count in most if count > least]
    return [dict(zip(("kind", "id", "events", "share"), entry, strict=True)) for entry in found]


def check_totals(summary: dict[str, Any], shards: Sequence[Shard], train_events: int) -> None:
    """Check that every row is either in a shard or counted as dropped, and that the passes over the data agree.

    Raises:
        RuntimeError: rows were lost or duplicated; a bug.
    """
    gone = sum(summary[name] for name in ("unselected", "rejected", "duplicates", "filtered_events", "capped_events"))
    gone += summary.get("late", 0) + summary.get("forgotten_events", 0)
    pairs = {
        "rows": (summary["rows"], gone + summary["events"]),
        "events": (summary["events"], sum(shard.events for shard in shards)),
        "users": (summary["users"], sum(shard.rows for shard in shards)),
        "training events": (summary["train_events"], train_events),
    }
    for what, (expected, found) in pairs.items():
        if expected != found:
            raise RuntimeError(f"the numbers of {what} do not add up: {expected} expected, {found} found")
