"""Verifies a prepared data set from its bytes. Only the manifest is trusted, because it contains its own digest.

files      every file the manifest names is there, whole, and no other lies among them (see verify_files)
vocabulary ids 1..V by descending count, no item twice
columns    order and counts of vocabularies, rows of the item table, valid values (columns.py)
shards     schema, row group sizes, page checksums, every row (see verify_rows)
users      no key twice in the whole data set, every key the hash of its id
reach      users in order, valid distances, counts as in the manifest (reach.py)
totals     shards, strata, summary and training counts agree with the manifest
"""

from __future__ import annotations

import tempfile
from collections import Counter
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Protocol

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from ltrec.core import columns as c
from ltrec.core.errors import UserError
from ltrec.core.progress import Progress, silent
from ltrec.data.manifest import MANIFEST, MEND, Manifest, Shard
from ltrec.data.schema import SHARD_SCHEMA, VOCAB_SCHEMA, shard_schema
from ltrec.data.verify.columns import ColumnCheck
from ltrec.data.verify.files import check_files
from ltrec.data.verify.reach import check_reach
from ltrec.data.verify.rows import RowGroup, check_rows
from ltrec.data.verify.targets import check_targets, target_mask


def verify(folder: Path, on_progress: Progress = silent) -> Manifest:
    """Check everything and return the manifest.

    Raises:
        UserError: at the first fault; names the file (and the row group).
    """
    manifest = Manifest.load(folder)
    check_files(folder, manifest, on_progress)
    check_contents(folder, manifest, LocalShards(folder), on_progress)
    return manifest


class Shards(Protocol):
    """Where shards are while they are checked."""

    def opened(self, shard: Shard) -> AbstractContextManager[Path]:
        """A shard's path, as long as the context is open."""

    def users(self, shard: Shard) -> Path:
        """A Parquet file with the user ids and keys of a shard that was opened before."""


class LocalShards:
    """Shards in the data set's folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def opened(self, shard: Shard) -> AbstractContextManager[Path]:
        """The shard."""
        return nullcontext(self._folder / shard.path)

    def users(self, shard: Shard) -> Path:
        """The shard."""
        return self._folder / shard.path


def check_contents(folder: Path, manifest: Manifest, shards: Shards, on_progress: Progress = silent) -> None:
    """Check what is in files of which sizes and hashes are known to be right.

    Args:
        folder: holds all files but shards.
        manifest: of the data set.
        shards: gives the shards, one after the other.
        on_progress: hears how many shards are done.

    Raises:
        UserError: at the first fault.
    """
    counts, columns = _check_vocabulary(folder, manifest), ColumnCheck(folder, manifest)
    found = np.zeros_like(counts)
    users, events = np.zeros((2, manifest.strata.count), dtype=np.int64)
    for number, shard in enumerate(manifest.shards):
        with shards.opened(shard) as path:
            activity = _check_shard(path, shard, manifest, columns, found)
        if shard.stratum >= 0:
            users[shard.stratum] += shard.rows
            events[shard.stratum] += activity
        on_progress("shards", number + 1, len(manifest.shards))
    _check_users(folder, [shards.users(shard) for shard in manifest.shards])
    _check_totals(folder, manifest, users, events)
    check_reach(folder, manifest)
    columns.finish()
    if (wrong := np.flatnonzero(found != counts)).size:
        item = int(wrong[0])
        raise UserError(
            f"{folder / manifest.vocab.path}: item {item} has {found[item]} training events, the file says {counts[item]}"
        )


def _check_vocabulary(folder: Path, manifest: Manifest) -> npt.NDArray[np.int64]:
    """Training counts by item id [V+1], 0 for padding."""
    path = folder / manifest.vocab.path
    table = _open(path, VOCAB_SCHEMA).read(use_threads=False)
    ids, counts = table[c.ITEM].to_numpy(), table[c.TRAIN_COUNT].to_numpy()
    if len(ids) != manifest.vocab.items or (ids != np.arange(1, len(ids) + 1)).any():
        raise UserError(f"{path}: item ids are not 1..{manifest.vocab.items}")
    if (np.diff(counts) > 0).any() or (counts < 0).any():
        raise UserError(f"{path}: items are not ordered by descending training count")
    if len(table[c.ITEM_ID].unique()) != len(ids):
        raise UserError(f"{path}: an item id occurs twice")
    return np.concatenate([[0], counts])


def _check_shard(path: Path, shard: Shard, manifest: Manifest, columns: ColumnCheck, counts: npt.NDArray[np.int64]) -> int:
    """Check one shard and add its training events to `counts` [V+1]; return the total activity of its users."""
    file = _open(path, shard_schema(manifest.columns))
    sizes = [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)]
    full, rest = divmod(shard.rows, manifest.block_rows)
    if sizes != [manifest.block_rows] * full + [rest] * (rest > 0):
        raise UserError(f"{path}: row groups of {Counter(sizes)} rows instead of {manifest.block_rows} each")
    last_key, events, activity = None, 0, 0
    for group in range(file.num_row_groups):
        where = f"{path}, row group {group}"
        try:
            table = file.read_row_group(group, use_threads=False)
            rows = RowGroup.of(table, target_mask(table, manifest))
        except (pa.ArrowInvalid, OSError) as error:
            raise UserError(f"{where} is damaged: {str(error).splitlines()[0]}") from error
        trained = rows.index < rows.of_row(rows.train_events)
        if fault := _fault(rows, shard, manifest, last_key) or columns.fault(table, rows.lengths, trained):
            raise UserError(f"{where}: {fault}")
        last_key, events, activity = int(rows.user_key[-1]), events + len(rows.items), activity + int(rows.activity.sum())
        seen, times = np.unique(rows.items[trained], return_counts=True)
        counts[seen] += times
    if events != shard.events:
        raise UserError(f"{path} holds {events} events, the manifest says {shard.events}")
    return activity


def _fault(rows: RowGroup, shard: Shard, manifest: Manifest, last_key: int | None) -> str | None:
    fault = check_rows(rows, shard, manifest, last_key)
    return check_targets(rows, shard, manifest) if fault is None and rows.target is not None else fault


def _check_users(folder: Path, paths: list[Path]) -> None:
    """Check that keys are unique over all shards and are the hashes of the ids; with DuckDB, because keys may not fit in memory."""
    schema = pa.schema([SHARD_SCHEMA.field(name) for name in (c.USER_ID, c.USER_KEY)])
    shards = ds.dataset([str(path) for path in paths], schema=schema, format="parquet")
    with (
        tempfile.TemporaryDirectory() as spill,
        duckdb.connect(config={"memory_limit": "1GB", "temp_directory": spill}) as connection,
    ):
        connection.register("shards", shards)  # not read_parquet, which treats paths as patterns and as columns
        number = f"md5_number_lower({c.USER_ID})::HUGEINT"
        (row,) = connection.execute(
            f"""SELECT count(*), count(*) FILTER (WHERE {number} - (CASE WHEN {number} >= {1 << 63} THEN {1 << 64} ELSE 0 END)
                                                        <> {c.USER_KEY}),
                       (SELECT count(*) FROM (SELECT DISTINCT {c.USER_KEY} FROM shards))
                FROM shards"""
        ).fetchall()
    rows, wrong, distinct = row
    if wrong:
        raise UserError(f"{folder}: {wrong} user keys are not the hash of their user id; {MEND}")
    if rows != distinct:
        raise UserError(f"{folder}: {rows - distinct} users occur twice; {MEND}")


def _check_totals(folder: Path, manifest: Manifest, users: npt.NDArray[np.int64], events: npt.NDArray[np.int64]) -> None:
    summary, shards = manifest.summary, manifest.shards
    pairs = {
        "users": (summary["users"], sum(s.rows for s in shards)),
        "events": (summary["events"], sum(s.events for s in shards)),
        "items": (summary["items"], manifest.vocab.items),
        "trainable users": (summary["trainable_users"], manifest.train_rows),
        "users per stratum": (manifest.strata.users, tuple(users.tolist())),
        "training events per stratum": (manifest.strata.events, tuple(events.tolist())),
    }
    for what, (recorded, found) in pairs.items():
        if recorded != found:
            raise UserError(f"{folder / MANIFEST} says {what} {recorded}, the shards hold {found}; {MEND}")


def _open(path: Path, schema: pa.Schema) -> pq.ParquetFile:
    try:
        file = pq.ParquetFile(path, page_checksum_verification=True, pre_buffer=False)
    except (pa.ArrowInvalid, OSError) as error:
        raise UserError(f"{path} is damaged: {str(error).splitlines()[0]}") from error
    if not file.schema_arrow.equals(schema):
        raise UserError(f"{path} has another schema than this format: {', '.join(file.schema_arrow.names)}")
    return file
