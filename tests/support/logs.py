"""Small event logs on disk, and preparing them, in one line each."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa

from ltrec.data.manifest import Manifest
from ltrec.data.prepare.columns.declared import event_columns
from ltrec.data.prepare.config import PrepareConfig
from ltrec.data.prepare.pipeline import prepare
from ltrec.data.prepare.readers import Where, read
from ltrec.data.prepare.readers.sources import find_sources

START = 1_400_000_000


def write_csv(path: Path, rows: Iterable[tuple], header: tuple[str, ...] = ("user_id", "item_id", "timestamp")) -> Path:
    """A CSV log; None is an empty field."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)
    return path


def some_events(users: int = 12, most: int = 9) -> list[tuple[str, str, int]]:
    """Users u0, u1, ... with 1, 2, ..., `most`, 1, 2, ... events on seven items, newest first, many tied times."""
    return [(f"u{u}", f"i{(u * 3 + n * n) % 7}", START + 1000 - n // 2) for u in range(users) for n in range(u % most + 1)]


def prepared(folder: Path, rows: Iterable[tuple] | None = None, overwrite: bool = False, **options) -> Manifest:
    """Prepare `rows` (or `some_events`) into folder/out."""
    source = write_csv(folder / "log.csv", some_events() if rows is None else rows)
    config = PrepareConfig(**{"name": "x", "sources": (str(source),), "threads": 1, **options})
    return prepare(config, folder / "out", overwrite=overwrite)


def read_log(path: Path, folder: Path | None = None, **options) -> tuple[list[tuple], list[tuple]]:
    """(rows, faults) of one file, alone or as a part of a folder; faults as (row, reason)."""
    config = PrepareConfig(sources=(str(folder or path),), **options)
    [source] = [found for found in find_sources(config.sources, config.format) if found.path == path]
    where = Where(config.where) if config.where else None
    faults: list[tuple] = []
    batches = list(
        read(
            source,
            config,
            event_columns(config),
            where,
            lambda row, reason, content: faults.append((row, reason)),
            lambda count: None,
        )
    )
    rows = pa.Table.from_batches(batches).to_pylist() if batches else []
    return [tuple(row.values()) for row in rows], faults
