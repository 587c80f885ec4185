"""Verifies a prepared data set from its bytes. Only the manifest is trusted, because it contains its own digest.

files      every file the manifest names is there, whole, and no other lies among them (see verify_files)
vocabulary ids 1..V by descending count (unless the data set was appended to), no item twice
columns    order and counts of vocabularies, rows of the item table, valid values (columns.py)
shards     files of rows and lists of rows (shard_rows.py), schema, row group sizes, page checksums, every row (see verify_rows)
users      no key twice in the whole data set, every key the hash of its id
reach      users in order, valid distances, counts as in the manifest (reach.py)
totals     shards, strata, summary and training counts agree with the manifest
"""

from __future__ import annotations

import tempfile
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Protocol

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.dataset as ds

from ltrec.core import columns as c
from ltrec.core.errors import UserError
from ltrec.core.progress import Progress, silent
from ltrec.data.manifest import MANIFEST, MEND, Manifest, Shard
from ltrec.data.schema import VOCAB_SCHEMA
from ltrec.data.verify.columns import ColumnCheck
from ltrec.data.verify.files import check_files
from ltrec.data.verify.forgotten import check_forgotten
from ltrec.data.verify.reach import check_reach
from ltrec.data.verify.rows import RowGroup, check_rows
from ltrec.data.verify.shard_rows import USERS, ShardRows, open_file
from ltrec.data.verify.targets import check_targets, target_mask


def verify(folder: Path, on_progress: Progress = silent, forgotten: pa.Array | None = None) -> Manifest:
    """Check everything and return the manifest.

    Args:
        folder: the data set.
        on_progress: hears how far it is.
        forgotten: raw ids of users who must not be in it.

    Raises:
        UserError: at the first fault; names the file (and the row group).
    """
    manifest = Manifest.load(folder)
    check_files(folder, manifest, on_progress)
    check_contents(folder, manifest, LocalShards(folder), on_progress)
    if forgotten is not None:
        check_forgotten(folder, manifest, forgotten)
    return manifest


class Shards(Protocol):
    """Where shards are while they are checked."""

    def opened(self, shard: Shard) -> AbstractContextManager[Path]:
        """The folder in which a shard's files are, as long as the context is open."""

    def users(self, shard: Shard) -> Path | None:
        """A Parquet file that has the ids and keys of just the shard's users when it is closed; None = there is none."""


class LocalShards:
    """Shards in the data set's folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def opened(self, shard: Shard) -> AbstractContextManager[Path]:
        """The folder."""
        del shard
        return nullcontext(self._folder)

    def users(self, shard: Shard) -> Path | None:
        """The shard, unless it has layers."""
        return None if shard.layers else self._folder / shard.path


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
    with tempfile.TemporaryDirectory(prefix="ltrec-verify-") as own:
        ids = list[Path]()
        for number, shard in enumerate(manifest.shards):
            with shards.opened(shard) as there:
                rows = ShardRows(there, shard, manifest)
                activity = _check_shard(rows, shard, manifest, columns, found)
                if (listed := shards.users(shard)) is None:
                    rows.write_users(listed := Path(own) / f"{number}.parquet")
            ids.append(listed)
            if shard.stratum >= 0:
                users[shard.stratum] += shard.rows
                events[shard.stratum] += activity
            on_progress("shards", number + 1, len(manifest.shards))
        _check_users(folder, ids)
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
    table = open_file(path, VOCAB_SCHEMA).read(use_threads=False)
    ids, counts = table[c.ITEM].to_numpy(), table[c.TRAIN_COUNT].to_numpy()
    if len(ids) != manifest.vocab.items or (ids != np.arange(1, len(ids) + 1)).any():
        raise UserError(f"{path}: item ids are not 1..{manifest.vocab.items}")
    if (not manifest.lineage and (np.diff(counts) > 0).any()) or (counts < 0).any():
        raise UserError(f"{path}: items are not ordered by descending training count")
    if len(table[c.ITEM_ID].unique()) != len(ids):
        raise UserError(f"{path}: an item id occurs twice")
    return np.concatenate([[0], counts])


def _check_shard(rows: ShardRows, shard: Shard, manifest: Manifest, columns: ColumnCheck, counts: npt.NDArray[np.int64]) -> int:
    """Check one shard and add its training events to `counts` [V+1]; return the total activity of its users."""
    last_key, events, activity = None, 0, 0
    for group in range(rows.groups):
        table = rows.table(group)
        own = RowGroup.of(table, target_mask(table, manifest))
        trained = own.index < own.of_row(own.train_events)
        if fault := _fault(own, shard, manifest, last_key) or columns.fault(table, own.lengths, trained):
            raise UserError(f"{rows.path}, row group {group}: {fault}")
        last_key, events, activity = int(own.user_key[-1]), events + len(own.items), activity + int(own.activity.sum())
        seen, times = np.unique(own.items[trained], return_counts=True)
        counts[seen] += times
    if events != shard.events:
        raise UserError(f"{rows.path} holds {events} events, the manifest says {shard.events}")
    return activity


def _fault(rows: RowGroup, shard: Shard, manifest: Manifest, last_key: int | None) -> str | None:
    fault = check_rows(rows, shard, manifest, last_key)
    return check_targets(rows, shard, manifest) if fault is None and rows.target is not None else fault


def _check_users(folder: Path, paths: list[Path]) -> None:
    """Check that keys are unique over all shards and are the hashes of the ids; with DuckDB, because keys may not fit in memory."""
    shards = ds.dataset([str(path) for path in paths], schema=USERS, format="parquet")
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
