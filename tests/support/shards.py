"""A small writer of valid prepared data sets, straight with pyarrow: what the stream's tests read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ltrec.columns.kinds import kind_of_column
from ltrec.columns.schema import FIRST_VALUE, NO_COLUMNS, Column, Schema
from ltrec.core.hashing import mix_array
from ltrec.core.storage.atomic import sha256_file
from ltrec.core.strata import Strata
from ltrec.data.manifest import ColumnFile, Manifest, Shard, Vocab
from ltrec.data.schema import COLUMNS_VERSION, FORMAT_VERSION, VALUES_SCHEMA, VOCAB_SCHEMA, items_schema, shard_schema


@dataclass(frozen=True)
class User:
    """One row of a shard."""

    name: str
    items: list[int]
    stratum: int
    train_events: int
    valid_at: int
    test_at: int
    times: list[int] | None = None  # None: 0, 1, 2, ...
    events: Mapping[str, list] = field(default_factory=dict)  # stored values by column, as long as items
    columns: Mapping[str, object] = field(default_factory=dict)  # stored value by user column
    weight: list[float] | None = None

    @property
    def key(self) -> int:
        return int(mix_array(7, np.array([int(self.name[1:])])).view(np.int64)[0])


def leave_one_out(number: int, items: list[int], stratum: int) -> User:
    """A user split as the format says: the last two events are targets when there are at least three."""
    n = len(items)
    cut = (n - 2, n - 2, n - 1) if n >= 3 else (n, -1, -1)
    return User(f"u{number}", items, stratum, *cut)


def fake_manifest(rows: Sequence[Sequence[int]], block_rows: int, events_per_row: int = 5) -> Manifest:
    """A manifest without files: rows[z] are the rows of the trainable shards of stratum z."""
    shards = [
        Shard(f"stratum={z}/part-{i:05}.parquet", z, True, 1, "", count, count * events_per_row)
        for z, counts in enumerate(rows)
        for i, count in enumerate(counts)
    ]
    return _manifest("fake", [sum(counts) for counts in rows], shards, Vocab("vocab/items.parquet", 9, 1, ""), block_rows)


def random_users(counts: Sequence[int], *, num_items: int = 50, longest: int = 12, seed: int = 0) -> list[User]:
    """counts[z] users of stratum z with 4..longest events, higher strata longer; numbered through."""
    draw = np.random.default_rng(seed)
    users: list[User] = []
    for z, count in enumerate(counts):
        for _ in range(count):
            length = int(draw.integers(4, longest + 1)) + z
            users.append(leave_one_out(len(users), draw.integers(1, num_items + 1, length).tolist(), z))
    return users


def write_dataset(
    folder: Path,
    users: Sequence[User],
    *,
    num_items: int = 50,
    block_rows: int = 4,
    shard_rows: int = 30,
    schema: Schema = NO_COLUMNS,
    items: Mapping[str, Sequence] | None = None,
    split: Mapping[str, object] | None = None,
) -> Manifest:
    """Write shards, vocabulary and manifest; users of a stratum keep their order. Returns the manifest.

    Args:
        schema: columns, made with `column`; their values are the users' and, of items, in `items`.
        items: stored values of each item column, item 1 first.
        split: what the manifest says of the split besides its kind, such as targets.
    """
    shards: list[Shard] = []
    strata = sorted({u.stratum for u in users if u.stratum >= 0})
    for z in [*strata, -1]:
        for kind in ("part", "rest"):
            chosen = [u for u in users if u.stratum == z and (u.train_events >= 2) == (kind == "part")]
            for i in range(0, len(chosen), shard_rows):
                path = f"stratum={'none' if z < 0 else z}/{kind}-{i // shard_rows:05}.parquet"
                shards.append(_write_shard(folder, path, chosen[i : i + shard_rows], block_rows, schema))
    vocab = _write_vocab(folder, num_items)
    counts = [sum(u.stratum == z for u in users) for z in range(max(strata, default=0) + 1)]
    manifest = replace(
        _manifest("tiny", counts, sorted(shards, key=lambda s: s.path), vocab, block_rows),
        columns=schema,
        column_files=_write_columns(folder, schema, items or {}, num_items),
        format_version=COLUMNS_VERSION if schema else FORMAT_VERSION,
        split={"kind": "leave_one_out", **(split or {})},
    )
    manifest.save(folder)
    return manifest


def column(name: str, kind: str, role: str = "event", size: int = 1, **options: object) -> Column:
    """A column as prepare would describe it; a categorical has `size` ids, a vector is `size` wide."""
    options = {**({"width": size} if kind == "vector" else {}), **options}
    made = Column(name, kind, role, size, options=options)
    return replace(made, file=f"columns/{role}-{name}.parquet") if kind_of_column(made).is_categorical else made


def _write_columns(folder: Path, schema: Schema, items: Mapping[str, Sequence], num_items: int) -> tuple[ColumnFile, ...]:
    """The table of items and the words of categoricals, `name-2` and so on."""
    files = []
    if schema.of("item"):
        table = pa.table([list(range(1, num_items + 1)), *(items[name] for name in schema.of("item"))], schema=items_schema(schema))
        files.append(_column_file(folder, "items/items.parquet", table))
    for made in filter(lambda made: made.file, schema):
        ids = list(range(FIRST_VALUE, made.size))
        table = pa.table([ids, [f"{made.name}-{i}" for i in ids], [made.size - i for i in ids]], schema=VALUES_SCHEMA)
        files.append(_column_file(folder, made.file, table))
    return tuple(files)


def _column_file(folder: Path, path: str, table: pa.Table) -> ColumnFile:
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, folder / path, write_page_checksum=True)
    return ColumnFile(path, (folder / path).stat().st_size, sha256_file(folder / path))


def _write_shard(folder: Path, path: str, users: Sequence[User], block_rows: int, schema: Schema) -> Shard:
    table = pa.table(
        [
            [u.name for u in users],
            [u.key for u in users],
            [u.stratum for u in users],
            [u.train_events for u in users],
            [u.train_events for u in users],
            [u.valid_at for u in users],
            [u.test_at for u in users],
            [u.items for u in users],
            [list(range(len(u.items))) if u.times is None else u.times for u in users],
            *([u.events[name] for u in users] for name in schema.of("event")),
            *([[[1.0] * len(u.items) if u.weight is None else u.weight for u in users]] if schema.weight else []),
            *([u.columns[name] for u in users] for name in schema.of("user")),
        ],
        schema=shard_schema(schema),
    )
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(
        table,
        folder / path,
        row_group_size=block_rows,
        compression="zstd",
        use_dictionary=False,
        write_page_checksum=True,
        column_encoding={"items.list.element": "DELTA_BINARY_PACKED", "times.list.element": "DELTA_BINARY_PACKED"},
    )
    events = sum(len(u.items) for u in users)
    size = (folder / path).stat().st_size
    return Shard(path, users[0].stratum, users[0].train_events >= 2, size, sha256_file(folder / path), len(users), events)


def _write_vocab(folder: Path, num_items: int) -> Vocab:
    path = folder / "vocab" / "items.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    ids = list(range(1, num_items + 1))
    table = pa.table([ids, [f"i{n}" for n in ids], [num_items - n for n in ids]], schema=VOCAB_SCHEMA)
    pq.write_table(table, path, write_page_checksum=True)
    return Vocab("vocab/items.parquet", num_items, path.stat().st_size, sha256_file(path))


def _manifest(name: str, users: Sequence[int], shards: Sequence[Shard], vocab: Vocab, block_rows: int) -> Manifest:
    strata = Strata(tuple(range(1, len(users) + 1)), tuple(users), tuple(users), len(users))
    return Manifest(name, {}, {}, {}, {"kind": "leave_one_out"}, {}, strata, vocab, block_rows, tuple(shards))
