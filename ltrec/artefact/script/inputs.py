"""Histories of raw ids and values as the rectangles that a program is given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain, repeat
from pathlib import Path
from typing import Any

import numpy as np

from ltrec.artefact.script.stored import Array, Columns, read_vocabulary

Arguments = tuple[Array, Columns, Columns]
ROWS, NARROWEST, WIDE = 8, 16, 255


class HistoryReader:
    """Looks up ids and checks values; ValueErrors name the field.

    Args:
        folder: of the artefact.
        inputs: the columns of events and users, as the manifest lists them.
        item_ids: raw ids by number.
    """

    def __init__(self, folder: Path, inputs: Mapping[str, Mapping[str, Any]], item_ids: Sequence[str]) -> None:
        self._item_of = {name: item for item, name in enumerate(item_ids) if item}
        self._events, self._users = dict(inputs["events"]), dict(inputs["users"])
        files = [column["file"] for column in (*self._events.values(), *self._users.values()) if column["file"]]
        self._ids = {file: {value: id_ for id_, value in enumerate(read_vocabulary(folder / file)) if id_ > 1} for file in files}

    def arguments(self, histories: Sequence[Mapping[str, Any]], first: int = 0) -> Arguments:
        """Inputs of the program: items and event columns [B, L], padded with 0, and user columns [B]; `first` is a number."""
        names = [self._names(number, history) for number, history in enumerate(histories, first)]
        ids = np.fromiter(map(self._item_of.get, chain.from_iterable(names), repeat(0)), "int64")  # 0: unknown
        row, known = np.repeat(np.arange(len(names)), list(map(len, names))), ids > 0
        lengths = np.bincount(row[known], minlength=len(names))
        events, users = {}, {}
        if self._events or self._users:
            ends = np.bincount(row, minlength=len(names)).cumsum()[:-1]
            places = (np.flatnonzero(own).tolist() for own in np.split(known, ends))
            told = [(f"history {number}", *own) for number, own in enumerate(zip(histories, places, strict=False), first)]
            for name, column in self._events.items():
                values = [self._stored(column, f"{who}: {name}[{at}]", own[name][at]) for who, own, places in told for at in places]
                events[name] = _padded(np.array(values, dtype=column["dtype"]), lengths)
            for name, column in self._users.items():
                own = [self._stored(column, f"{who}: {name}", history.get(name)) for who, history, _ in told]
                users[name] = np.array(own, dtype=column["dtype"])
        return _padded(ids[known], lengths), events, users

    def lists(self, number: int, history: Mapping[str, Any]) -> tuple[tuple[int, ...] | None, tuple[int, ...] | None]:
        """Ids of a history's own candidates, and of what it denies, in ascending order; None = it has no such list."""
        return self._listed(number, history, "candidates"), self._listed(number, history, "deny")

    def _listed(self, number: int, history: Mapping[str, Any], name: str) -> tuple[int, ...] | None:
        if (names := history.get(name)) is None:
            return None
        return tuple(sorted({self._item_of.get(item, 0) for item in _ids(names, f"history {number}: {name}")} - {0}))

    def _names(self, number: int, history: Mapping[str, Any]) -> list[str]:
        """A history's items, beside which stand as many values of every column."""
        if not isinstance(history, Mapping):
            raise ValueError(f"history {number}: {str(history)[:60]} is no mapping with `items`")
        names = _ids(history.get("items"), f"history {number}: items")
        for name in self._events:
            values = history.get(name)
            if not isinstance(values, list) or len(values) != len(names):
                raise ValueError(f"history {number}: {name} must be a list as long as items")
        return names

    def _stored(self, column: Mapping[str, Any], what: str, value: Any) -> Any:
        """A value as the program is given it. None is a missing value, and so is NaN."""
        if value is None or value != value:
            return float("nan") if column["missing"] is None else column["missing"]
        if isinstance(value, (list, dict)):
            raise ValueError(f"{what} is {str(value)[:60]}; it must be a single value")
        if column["file"]:
            whole = isinstance(value, float) and value.is_integer()
            word = str(int(value)) if whole else str(value).lower() if isinstance(value, bool) else str(value).strip()
            return self._ids[column["file"]].get(word, 1)
        kind, most = ("whole number", 2.0**63) if column["dtype"] == "int64" else ("number", 3.4e38)
        if type(value) not in (int, float) or not abs(value) < most or (kind != "number" and value != int(value)):
            raise ValueError(f"{what} is {value!r:.60}; it must be a {kind} below {most:.2g}, or None where it is missing")
        return value


def widths_of(lengths: Array, max_len: int) -> Array:
    """Width of the rectangle for histories of those lengths: 15, 63, 255, 1023, ... Windows of longer ones are alike, so that from
    `max_len` on there is one width up to `WIDE`."""
    widths = [width for width in ((NARROWEST << 2 * n) - 1 for n in range(20)) if width < max_len or width >= WIDE]
    return np.array(widths)[np.searchsorted(widths, lengths)]


def rectangle(arguments: Arguments, rows: list[int], width: int) -> Arguments:
    """Some rows of the arguments, so many positions wide, with empty histories below."""
    items, events, users = arguments
    below, right = (0, -len(rows) % ROWS), (0, max(0, width - items.shape[1]))
    events = {name: np.pad(values[rows, :width], (below, right)) for name, values in events.items()}
    users = {name: np.pad(values[rows], below) for name, values in users.items()}
    return np.pad(items[rows, :width], (below, right)), events, users


def _padded(values: Array, lengths: Array) -> Array:
    """Rows of those lengths, which lie one behind the other."""
    found = np.zeros((len(lengths), max(1, lengths.max(initial=0))), values.dtype)
    found[np.arange(found.shape[1]) < lengths[:, None]] = values
    return found


def _ids(names: Any, what: str) -> list[str]:
    if not isinstance(names, list) or not ({*map(type, names)} <= {str} or all(isinstance(name, str) for name in names)):
        raise ValueError(f"{what} must be a list of ids, as text")
    return names
