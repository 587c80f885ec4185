"""Counts of the grown data set: those of the parent, minus its superseded rows, plus the new rows and the rows of the log."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ltrec.core import columns as c
from ltrec.core.ragged import I64
from ltrec.data.prepare import summary
from ltrec.data.prepare.append.day import Day
from ltrec.data.prepare.append.old import OldUsers
from ltrec.data.prepare.append.parent import Parent
from ltrec.data.prepare.append.rows import PartUsers
from ltrec.data.prepare.engines.protocol import Engine, counted
from ltrec.data.prepare.output.entries import named_entry
from ltrec.data.prepare.rejects import FOLDER
from ltrec.data.prepare.sorting.ties import TieBreak

_OF_LOG = ("rows", "empty_files", "unselected", "rejected", "duplicates", "filtered_events", "filtered_users", "filtered_items")
_WITHOUT = ("reach", "length_quantiles", "outsized")
"""What is measured over all events or anew; the distances of targets are left to a full prepare."""


def grown_summary(engine: Engine, parent: Parent, log: dict[str, Any], day: Day, ties: TieBreak, head_from: int) -> dict[str, Any]:
    """The counts, but for those of items and head users, and the quantiles of lengths.

    Args:
        engine: with the table `stored` of the users of the day.
        parent: what is appended to.
        log: counts of the day's log.
        day: its events.
        ties: of its events.
        head_from: smallest activity of a head user.
    """
    before = {key: value for key, value in parent.manifest.summary.items() if key not in _WITHOUT}
    old, new = day.old.counts(), summary.count_users(engine, head_from)
    old["held_out_users"] = _held_out(engine, day.old.column(c.USER_KEY)) if before["held_out_users"] else 0
    found = {**before, **{key: before.get(key, 0) + log[key] for key in _OF_LOG}}
    found |= {key: before[key] - old[key] + new[key] for key in old}
    reasons = sorted({*before["rejects"], *log["rejects"]})
    found |= {
        "rejects": {reason: before["rejects"].get(reason, 0) + log["rejects"].get(reason, 0) for reason in reasons},
        "duplicates": found["duplicates"] + day.known + day.replaced,
        "late": before.get("late", 0) + day.late,
        "ties": _ties(before["ties"], ties, found["events"] + found["capped_events"]),
        "notes": list(dict.fromkeys([*before.get("notes", ()), *log["notes"], *ties.notes()])),
    }
    return found


def length_quantiles(users: Iterable[PartUsers], old: OldUsers) -> dict[str, int]:
    """Quantiles of the events before the history cap of these users but for old rows, which are superseded."""
    total = np.bincount(np.concatenate([part.count_R for part in users]))
    total -= np.bincount(old.column("count"), minlength=total.size)
    some = np.flatnonzero(total)
    return summary.quantiles(some, total[some])


def outsized(engine: Engine, before: dict[str, Any], grown: dict[str, Any], items: pa.Table) -> list[dict[str, Any]]:
    """As `summary.outsized`. Of users without new events only those can be outsized that were.

    Args:
        engine: with the table `users` of the users of the day.
        before: counts of the parent.
        grown: counts of the grown data set.
        items: its vocabulary.
    """
    events = grown["events"] + grown["capped_events"]
    least = summary.least_outsized(events)
    of_day = {str(user): int(count) for user, count in engine.rows(f"SELECT user_id, count FROM users WHERE count >= {least}")}
    others = {entry["id"]: entry["events"] for entry in before.get("outsized", ()) if entry["kind"] == "user"}
    users = sorted({**others, **of_day}.items(), key=lambda found: (-found[1], found[0]))

    def name_of(row: int) -> str:
        return str(items[c.ITEM_ID][row].as_py())

    largest = [(user, count) for user, count in users if count >= least][: summary.MOST_OUTSIZED]
    return summary.entries_of_outsized(largest, events, items[c.TRAIN_COUNT].to_numpy(), name_of)


def joined_rejects(parent: Path, before: dict[str, Any] | None, of_day: dict[str, Any] | None, work: Path) -> dict[str, Any] | None:
    """The entry of the file of all rejects of a log or table, the parent's first; it is in `work`, or the parent's if the day has
    none.

    Args:
        parent: folder of the parent.
        before: its entry.
        of_day: the day's.
        work: folder in which the data set is built.
    """
    if before is None or of_day is None:
        return before or of_day
    tables = [pq.read_table(parent / before["path"]), pq.read_table(work / of_day["path"])]
    path = work / FOLDER / f"{Path(of_day['path']).stem.rpartition('-')[0]}.tmp"
    pq.write_table(pa.concat_tables(tables), path, compression="zstd", write_page_checksum=True)
    (work / of_day["path"]).unlink()
    return named_entry(path, work)


def times_of(engine: Engine, before: dict[str, Any]) -> dict[str, int]:
    """The first and last time of all events, some of which are in the engine."""
    first, last = counted(engine, "SELECT min(seconds), max(seconds) FROM events")
    return {"first_time": min(before["first_time"], first), "last_time": max(before["last_time"], last)}


def _held_out(engine: Engine, key_R: I64) -> int:
    """How many of these users, who are in `stored`, are held out: that is a matter of their ids."""
    engine.catalogue.register("before", pa.table({"user_key": key_R}))
    (found,) = counted(engine, "SELECT count(*) FROM stored SEMI JOIN before USING (user_key) WHERE held_out")
    engine.catalogue.unregister("before")
    return found


def _ties(before: dict[str, Any], day: TieBreak, events: int) -> dict[str, Any]:
    """Ties never reach from one day into another, so that counts add up, also of events that were then dropped or replaced."""
    tied, pairs = before["events"] + day.events, before["pairs"] + day.pairs
    rising = (before["rising"] * before["pairs"] + day.rising * day.pairs) / pairs if pairs else 0.5
    return {"rule": before["rule"], "events": tied, "share": tied / max(1, events), "pairs": pairs, "rising": rising}
