"""Popularity of items and sizes of shards, in the terminal."""

from __future__ import annotations

from rich import box
from rich.table import Table

from ltrec.api.results.inspection import Inspection
from ltrec.terminal.screen import Screen

_MIB = 1 << 20


def print_overview(data: Inspection, screen: Screen) -> None:
    """One table of items by popularity, one of shards by stratum."""
    screen.show(_popularity_table(data))
    found = data.popularity
    ends = f"an item has {found.median:,} in the middle and {found.largest:,} at most, {found.untrained:,} have none"
    screen.say(f"{ends}; Gini {found.gini:.2f}", "dim")
    screen.show(_shards_table(data))


def _popularity_table(data: Inspection) -> Table:
    found = data.popularity
    table = Table(title="items by training events", title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("most popular", "items", "of training events"):
        table.add_column(name, justify="right")
    for share, part in found.top.items():
        table.add_row(f"{share:.0%}", f"{max(1, round(share * found.items)):,}", f"{part:.1%}")
    return table


def _shards_table(data: Inspection) -> Table:
    table = Table(title="shards", title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("stratum", "shards", "users", "events", "MiB", "largest MiB"):
        table.add_column(name, justify="right")
    for sizes in data.shard_sizes:
        counts = (f"{count:,}" for count in (sizes.shards, sizes.users, sizes.events))
        bytes_ = (f"{size / _MIB:,.1f}" for size in (sizes.bytes, sizes.largest))
        table.add_row("none" if sizes.stratum < 0 else str(sizes.stratum), *counts, *bytes_)
    return table
