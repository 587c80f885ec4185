"""The histories of a prepared data set as somebody would give them: raw ids, raw columns, in either shape."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ltrec.columns.schema import FIRST_VALUE, Projection
from ltrec.core import columns as c
from ltrec.data.columns import vocabulary_of
from ltrec.data.manifest import Manifest
from ltrec.data.stream.reading.histories import SplitHistories
from ltrec.data.stream.reading.vocabulary import Vocabulary


def users_of(folder: Path, split: str = "test") -> list[dict]:
    """The users of a split with a history, in the order of evaluation: user_id, items and times, columns, all raw."""
    manifest = Manifest.load(folder)
    names = Vocabulary.load(folder, manifest).item_id
    events, users = [*manifest.columns.of("event")], [*manifest.columns.of("user")]
    histories = SplitHistories(folder, manifest, split, 1000, columns=Projection((*events, c.TIME), tuple(users)))
    found = []
    for index in range(len(histories)):
        chunk = histories.chunk(index)
        assert chunk.batch.items_T.numel() == chunk.seen_T.numel()
        for row, user in enumerate(chunk.user_id):
            own = slice(*chunk.batch.offsets[row : row + 2].tolist())
            one = {"user_id": user, "items": [names[item] for item in chunk.batch.items_T[own].tolist()]}
            one["times"] = chunk.batch.events[c.TIME][own].tolist()
            one |= {name: _raw(folder, manifest, "event", name, chunk.batch.events[name][own].tolist()) for name in events}
            one |= {name: _raw(folder, manifest, "user", name, [chunk.batch.users[name][row].item()])[0] for name in users}
            found.append(one)
    return found


def as_lists(users: list[dict]) -> pa.Table:
    """A row per user."""
    return pa.Table.from_pylist(users)


def as_events(users: list[dict], *, seed: int = 0) -> pa.Table:
    """A row per event; the events of a user stand together, in any order."""
    draw, rows = np.random.default_rng(seed), []
    for user in users:
        lists = {name: values for name, values in user.items() if isinstance(values, list)}
        plain = {name: value for name, value in user.items() if not isinstance(value, list)}
        order = draw.permutation(len(user["items"])).tolist()
        rows += [{**plain, **{name: values[event] for name, values in lists.items()}} for event in order]
    return pa.Table.from_pylist(rows).rename_columns({"items": "item_id", "times": "timestamp"})


def write_parts(table: pa.Table, folder: Path, *, files: int = 2, rows: int = 7) -> Path:
    """The table in several files of small row groups."""
    folder.mkdir(parents=True)
    size = -(-table.num_rows // files)
    for number in range(files):
        pq.write_table(table.slice(number * size, size), folder / f"{number}.parquet", row_group_size=rows)
    return folder


def _raw(folder: Path, manifest: Manifest, role, name: str, stored: list) -> list:
    column = manifest.columns.of(role)[name]
    if column.kind == "category":
        words = dict(enumerate(vocabulary_of(folder, manifest, column), FIRST_VALUE))
        return [None if value == 0 else words.get(value, "a word that nobody knows") for value in stored]
    if column.kind == "time":
        return [None if value == c.NO_TIME else value for value in stored]
    return [None if value != value else value for value in stored]
