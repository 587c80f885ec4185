"""What prepare means for event columns, in lists and dictionaries, over the rows of `naive_prepare`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from ltrec.columns.schema import FIRST_VALUE, MISSING, UNKNOWN
from ltrec.data.columns import vocabulary_of
from ltrec.data.manifest import Manifest
from tests.support.naive_prepare import NaiveData


def event_values(data: NaiveData, values: list[Any]) -> dict[str, list[Any]]:
    """User -> values of his stored events, `values` by place in the log."""
    return {user: [values[order] for order in row.orders] for user, row in data.rows.items()}


def training_values(data: NaiveData, values: list[Any]) -> list[Any]:
    """Values of all training events."""
    return [values[order] for row in data.rows.values() for order in row.orders[: row.train_events]]


def numbered(trained: list[str | None], least: int) -> tuple[list[str], Callable[[str | None], int]]:
    """Values that get an id, and the id of any value: by descending count, then alphabetically."""
    counts = Counter(word for word in trained if word is not None)
    frequent = sorted((w for w, count in counts.items() if count >= least), key=lambda word: (-counts[word], word.encode()))
    place = {word: FIRST_VALUE + n for n, word in enumerate(frequent)}
    return frequent, lambda word: MISSING if word is None else place.get(word, UNKNOWN)


def read_columns(folder: Path) -> dict[str, dict[str, Any]]:
    """Column in the shards -> user -> value, or values of his events."""
    manifest = Manifest.load(folder)
    found: dict[str, dict[str, Any]] = {}
    for shard in manifest.shards:
        for row in pq.ParquetFile(folder / shard.path).read().to_pylist():
            for name, value in row.items():
                if name.startswith(("event.", "user.", "weight")):
                    found.setdefault(name, {})[row["user_id"]] = value
    return found


def words_by_column(folder: Path) -> dict[str, list[str]]:
    """Values of every categorical column; the first has id 2."""
    manifest = Manifest.load(folder)
    return {column.name: vocabulary_of(folder, manifest, column) for column in manifest.columns if column.file}
