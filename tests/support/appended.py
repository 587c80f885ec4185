"""A log in days, a data set that was appended to, and the full prepare of all days that it must equal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from ltrec.data.manifest import Manifest
from ltrec.data.prepare.append.pipeline import append
from ltrec.data.prepare.config import PrepareConfig
from ltrec.data.prepare.pipeline import prepare
from ltrec.data.schema import shard_schema
from ltrec.data.stream.reading.blocks import blocks_of
from ltrec.data.stream.reading.shards import ShardReader
from tests.support.logs import START, write_csv

DAY = 86_400
OPTIONS = {"name": "x", "threads": 1, "block_rows": 16, "shard_events": 500, "time_unit": "s"}

Log = list[tuple[str, str, int]]


def day_of(number: int, users: Sequence[int], events: int, items: int, *, seed: int = 0) -> Log:
    """Events of these users within a day, in random order, with ties; items i0, i1, ..."""
    draw = np.random.default_rng([seed, number])
    who, what = draw.choice(np.asarray(users), events), draw.integers(items, size=events)
    when = START + number * DAY + draw.integers(0, DAY // 2, events) // 60 * 60
    return [(f"u{u}", f"i{i}", int(t)) for u, i, t in zip(who, what, when, strict=True)]


def two_days(seed: int = 0) -> tuple[Log, Log]:
    """Most users have no events on the second day, a few are new, and so are items."""
    once = [(f"u{u}", "i3", START + DAY + u) for u in range(300, 330)]
    return day_of(0, range(200), 1500, 40, seed=seed), [*day_of(1, [*range(20), *range(195, 215)], 90, 50, seed=seed), *once]


@dataclass(frozen=True)
class Grown:
    """The folder `parent` with the first day, `grown` with the second appended, and `full` with both; and the options."""

    folder: Path
    options: dict

    def __getattr__(self, name: str) -> Path:
        return self.folder / name

    def manifest(self, name: str) -> Manifest:
        return Manifest.load(self.folder / name)


def config_of(*logs: Path, **options) -> PrepareConfig:
    """The options of these tests."""
    return PrepareConfig(sources=tuple(map(str, logs)), **{**OPTIONS, **options})


def make_grown(folder: Path, days: tuple[Log, Log] | None = None, *, full: bool = True, recut: bool = False, **options) -> Grown:
    """Prepare, append, and prepare both."""
    first, second = (write_csv(folder / f"day-{n}.csv", rows) for n, rows in enumerate(days or two_days()))
    prepare(config_of(first, **options), folder / "parent")
    append(config_of(second, **options), folder / "parent", folder / "grown", recut=recut)
    if full:
        prepare(config_of(first, second, **options), folder / "full", like=folder / "parent", recut=recut)
    return Grown(folder, options)


def rows_of(folder: Path) -> list[pa.Table]:
    """Every row group, as readers see it."""
    manifest = Manifest.load(folder)
    files, blocks = ShardReader(folder, manifest), blocks_of(manifest, range(len(manifest.shards)))
    names = shard_schema(manifest.columns).names
    return [files.read(shard, group, names) for shard, group in zip(blocks.shard.tolist(), blocks.group.tolist(), strict=True)]


def content(folder: Path) -> dict[str, bytes]:
    """Every file's bytes."""
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def refuse_other_counts(mine: Manifest, full: Manifest, own: set[str]) -> None:
    """Vocabularies, strata, columns, split and summary are the same, but for these keys of the summary."""
    assert (mine.vocab, mine.strata, mine.column_files, mine.columns, mine.split) == (
        full.vocab, full.strata, full.column_files, full.columns, full.split,
    )  # fmt: skip
    ours, theirs = ({key: value for key, value in m.summary.items() if key not in own} for m in (mine, full))
    assert ours == theirs
