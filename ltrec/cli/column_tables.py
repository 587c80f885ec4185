"""Columns of a data set in the terminal: what each is, and what training has of it."""

from __future__ import annotations

from rich import box
from rich.table import Table

from ltrec.api.results.dataset import Dataset
from ltrec.columns.schema import FIRST_VALUE, Column
from ltrec.data.columns import vocabulary_of
from ltrec.terminal.screen import Screen

MOST_VALUES = 5
_COUNTS = ("rows", "rejected", "new", "unused", "without_row", "events_without_row")


def print_columns(data: Dataset, screen: Screen) -> None:
    """One row per column; nothing if a data set has none."""
    columns = data.manifest.columns
    if not columns:
        return
    table = Table(title="columns", title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("of", "column", "kind", "missing", "values"):
        table.add_column(name, justify="right" if name == "missing" else "left", overflow="fold")
    for column in columns:
        missing = f"{column.statistics.get('missing', 0):.1%}"
        table.add_row(column.role, column.name, column.kind, missing, _values(data, column))
    if columns.weight:
        found = data.manifest.summary["weight"]
        table.add_row("event", "weight", "number", "0.0%", _numbers(found, ""))
    screen.show(table)
    for name in ("item_table", "user_table"):
        if counts_of := data.manifest.summary.get(name):
            counts = (f"{what.replace('_', ' ')} {counts_of[what]:,}" for what in _COUNTS if what in counts_of)
            short = (f"{count:,} longer lists of {column} cut" for column, count in (counts_of.get("shortened") or {}).items())
            screen.say(f"{name.replace('_', ' ')}: {', '.join((*counts, *short))}", "dim")


def _values(data: Dataset, column: Column) -> str:
    if not column.file:
        wide = f"{column.size} wide, " if column.size > 1 else ""
        return wide + _numbers(column.statistics, column.unit)
    values = vocabulary_of(data.path, data.manifest, column)
    shown = ", ".join(values[:MOST_VALUES]) + (", ..." if len(values) > MOST_VALUES else "")
    pooled = column.statistics.get("unknown", 0)
    rare = f", {pooled:.1%} pooled" if pooled else ""
    return f"{column.size - FIRST_VALUE:,}: {shown}{rare}"


def _numbers(statistics: dict[str, float], unit: str) -> str:
    if "mean" not in statistics:
        return "none"
    ends = f"{statistics['least']:.4g} to {statistics['greatest']:.4g}"
    return f"{ends} {unit}".rstrip() + f", mean {statistics['mean']:.4g} ± {statistics['deviation']:.4g}"
