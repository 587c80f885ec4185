"""Tables of a prepared data set: events kept and removed, and the strata with their shares."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator
from datetime import UTC, datetime
from typing import Any

import numpy as np
from rich import box
from rich.table import Table
from rich.text import Text

from ltrec.data.manifest import Manifest
from ltrec.data.reach import KNOWN, ONE_LINK, REPEAT
from ltrec.terminal.screen import Screen

_DISPENSABLE = ("of events", "events", "P(z)", "share", "trainable")
"""Columns of the strata table that are dropped on a narrow screen, in this order."""

_ORDER = ("min", "p25", "median", "p75", "p95", "p99", "max")


def print_data(manifest: Manifest, screen: Screen) -> None:
    """Print the table of events, then that of the strata."""
    screen.show(_events_table(manifest))
    screen.show(lambda without: _strata_table(manifest, without), _DISPENSABLE)
    for note in _notes(manifest):
        screen.say(note, "dim")


def _events_table(manifest: Manifest) -> Table:
    table = Table(title=f"data set {manifest.name}", title_justify="left", pad_edge=False, box=box.SIMPLE_HEAD, show_header=False)
    table.add_column(style="dim")
    table.add_column(justify="right", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value, remark in _lines(manifest):
        table.add_row(name, value, Text(remark))
    return table


def _lines(manifest: Manifest) -> Iterator[tuple[str, str, str]]:
    """(what, number, remark); zero counts are left out."""
    s = manifest.summary
    by = f", sorted by {manifest.made_by}" if manifest.made_by else ""
    yield "rows read", f"{s['rows']:,}", f"{_files(manifest)}, times {_form(manifest)}{by}"
    if unselected := s.get("unselected", 0):
        yield "not selected", f"{unselected:,}", f"where {manifest.options['where']}"
    if s["rejected"]:
        yield "rejected", f"{s['rejected']:,}", "; ".join(f"{n:,} x {why}" for why, n in s["rejects"].items())
    if s["duplicates"]:
        yield "duplicates", f"{s['duplicates']:,}", f"dropped ({s.get('duplicate_rule', manifest.options['duplicates'])})"
    if s["filtered_events"]:
        minimum = (
            f"{s['filtered_users']:,} users and {s['filtered_items']:,} items below the minimum, {s['filter_rounds']} round(s)"
        )
        yield "filtered", f"{s['filtered_events']:,}", minimum
    if s["capped_events"]:
        yield (
            "capped",
            f"{s['capped_events']:,}",
            f"of {s['capped_users']:,} user(s) with more than {manifest.options['history_cap']:,}",
        )
    yield "events", f"{s['events']:,}", f"{s['train_events']:,} to train on" + _period(manifest)
    if ties := s.get("ties", {}).get("events"):
        yield "ties", f"{ties:,}", _ties(s["ties"])
    yield "users", f"{s['users']:,}", _users(s)
    yield from _appended(manifest)
    if gone := s.get("forgotten_users"):
        yield "forgotten", f"{s['forgotten_events']:,}", f"events of {gone:,} user(s), who were removed"
    yield "items", f"{s['items']:,}", ""
    yield "targets", f"{s['test_targets']:,}", _split(manifest)
    yield from _reach(s)
    lengths = sorted(s["length_quantiles"].items(), key=lambda pair: _ORDER.index(pair[0]))
    yield from _outsized(s)
    yield "events per user", "", ", ".join(f"{name} {value:,}" for name, value in lengths)
    for note in s.get("notes", ()):
        yield "note", "", note


def _appended(manifest: Manifest) -> Iterator[tuple[str, str, str]]:
    """What the last new logs changed, if the data set was appended to."""
    if manifest.lineage and (last := manifest.lineage[-1]).get("users"):
        yield (
            "appended",
            f"{last['events']:,}",
            f"of {last['users']:,} users ({last['new_users']:,} new), {last['new_items']:,} new items; to {last['digest'][:16]}",
        )
        yield "crossed", f"{last['crossed']:,}", "of these users have another stratum than before"
    if late := manifest.summary.get("late"):
        yield "late", f"{late:,}", "dropped: not later than the newest event of their user"


def _ties(ties: dict[str, Any]) -> str:
    way, share = ("rise", ties["rising"]) if ties["rising"] >= 0.5 else ("fall", 1 - ties["rising"])
    ids = f"inside ties item ids {way} in {share:.0%}: " if ties["pairs"] else ""
    order = "order of the log kept" if ties["rule"] == "source" else "order taken from a hash"
    return f"{ties['share']:.0%} of events tie with the one before; {ids}{order}"


def _reach(s: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """How far validation targets are from the history; empty for data prepared by an older version."""
    counts = np.array(s.get("reach", {}).get("valid", ()), np.int64).reshape(-1, len(KNOWN))
    if not (all_ := counts.sum()):
        return
    repeat, one, two, beyond = (f"{share:.0%}" for share in counts.sum(axis=0) / all_)
    by_stratum = ", ".join(f"{row[ONE_LINK] / row.sum():.0%}" if row.sum() else "-" for row in counts)
    share = all_ / (s["valid_targets"] - s["cold_valid_targets"])
    sample = f" ({share:.1%} of them sampled)" if share < 1 else ""
    inside = f", {repeat} are in it" if counts[:, REPEAT].any() else ""
    yield (
        "reach",
        one,
        f"of validation targets are one link from the history ({by_stratum} by stratum), {two} two, {beyond} beyond"
        f"{inside}{sample}",
    )


def _outsized(s: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Ids with an implausible share of the events; empty for data prepared by an older version."""
    for found in s.get("outsized", []):
        hint = f"of {found['kind']} {found['id']!r}, {found['share']:.0%} of all; a placeholder? then add it to null_values"
        yield "suspicious", f"{found['events']:,}", hint


def _files(manifest: Manifest) -> str:
    files, empty = len(manifest.source["files"]), manifest.summary.get("empty_files", 0)
    return f"{files - empty} of {files} files, the others are empty" if empty else f"{files} file(s)"


def _form(manifest: Manifest) -> str:
    unit = manifest.source["time_unit"]
    return f"as {unit}" if "%" in unit else f"in {unit}"


def _users(s: dict[str, Any]) -> str:
    parts = [f"{s['trainable_users']:,} with two training events or more"]
    parts += [f"{s['short_users']:,} with fewer than three events"] if s["short_users"] else []
    parts += [f"{s['held_out_users']:,} kept out of training"] if s["held_out_users"] else []
    return ", ".join(parts)


def _split(manifest: Manifest) -> str:
    s, split = manifest.summary, manifest.split
    cuts = (
        f", validation from {_moment(split['valid_time'])}, test from {_moment(split['test_time'])}" if "test_time" in split else ""
    )
    cold = f", {s['cold_test_targets']:,} of users without history" if s["cold_test_targets"] else ""
    return f"test, {s['valid_targets']:,} validation ({split['kind']}{cuts}){cold}"


def _period(manifest: Manifest) -> str:
    if manifest.source["time_unit"] == "order":
        return ""
    first, last = (_moment(manifest.summary[key]) for key in ("first_time", "last_time"))
    return f", {first} to {last}"


def _moment(seconds: int) -> str:
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d")
    except (OverflowError, ValueError, OSError):
        return str(seconds)


def _strata_table(manifest: Manifest, without: Collection[str]) -> Table:
    strata = manifest.strata
    table = Table(title="strata by training events", title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    names = ("stratum", "of training events", "users", "share", "trainable", "P(z)", "events", "of events")
    shown = [name not in without for name in names]
    for name in itertools.compress(names, shown):
        table.add_column(name, justify="right", no_wrap=name != "of training events")
    events, trained = sum(strata.events), manifest.train_rows
    rows = zip(strata.names(), strata.users, strata.user_shares(), manifest.trainable_K, strata.events, strict=True)
    for index, (name, users, share, own, e) in enumerate(rows):
        prior = f"{own / trained:.1%}" if trained else ""
        cells = (str(index), name, f"{users:,}", f"{share:.1%}", f"{own:,}", prior, f"{e:,}", f"{e / events:.1%}")
        table.add_row(*itertools.compress(cells, shown))
    return table


def _notes(manifest: Manifest) -> Iterator[str]:
    """Remarks below the tables."""
    strata, trainable_K = manifest.strata, manifest.trainable_K
    yield f"head: {strata.head_from} training events or more, {_head_share(manifest):.1%} of the training users"
    if trainable_K != strata.users:
        yield "trainable: with a second training event, the first target to train on; gradients.prior.name=user uses their share"
    if none := [str(z) for z, (own, users) in enumerate(zip(trainable_K, strata.users, strict=True)) if users and not own]:
        yield (
            f"stratum {', '.join(none)}: no user to train on; plugins of the nearest other stratum will serve it "
            "(prepare.strata_bounds cuts elsewhere)"
        )


def _head_share(manifest: Manifest) -> float:
    return float(manifest.summary["head_users"] / sum(manifest.strata.users))
