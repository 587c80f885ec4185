"""Proves that users are gone from a prepared data set: from shards, superseded rows, distances, kept rejects and the manifest."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ltrec.core import columns as c
from ltrec.core.errors import UserError
from ltrec.data.forget.users import Mentions
from ltrec.data.manifest import Manifest
from ltrec.data.reach import read_reach_file
from ltrec.data.schema import WORK

_AGAIN = "run ltrec prepare --forget-users again"


def check_forgotten(folder: Path, manifest: Manifest, ids: pa.Array) -> None:
    """Look for users in every file that may hold one; the files are known to be intact.

    Args:
        folder: the data set.
        manifest: of the data set.
        ids: raw ids.

    Raises:
        UserError: one is there; names the file.
    """
    keys = pa.array(sorted(key_of(name) for name in ids.to_pylist()), pa.int64())
    for name in [path for path in manifest.files() if path.startswith("stratum=")]:
        _check_rows(folder / name, ids, keys)
    if reach := manifest.summary.get("reach"):
        rows = read_reach_file(folder / reach["path"], reach["sha256"])
        if (found := pc.is_in(rows[c.USER_KEY], value_set=keys).to_numpy()).any():
            raise UserError(f"{folder / reach['path']} has the distances of {int(found.sum())} of these users; {_AGAIN}")
    mentions = Mentions(ids)
    for part in (manifest.summary, manifest.summary.get("user_table") or {}):
        _check_rejects(folder, part.get("rejects_file"), mentions)
    named = {entry["id"] for entry in manifest.summary.get("outsized", ()) if entry["kind"] == "user"}
    if found_ids := sorted(named & set(ids.to_pylist())):
        raise UserError(f"the manifest of {folder} names user {found_ids[0]!r} as having implausibly many events; {_AGAIN}")
    if (folder / WORK).exists():
        raise UserError(f"{folder / WORK} is left of an interrupted prepare and may hold any user; {_AGAIN}")


def _check_rows(path: Path, ids: pa.Array, keys: pa.Array) -> None:
    """Every row of a file, also one that no shard takes."""
    with pq.ParquetFile(path, page_checksum_verification=True, pre_buffer=False) as file:
        if c.USER_ID not in file.schema_arrow.names:  # a list of rows
            return
        for batch in file.iter_batches(columns=[c.USER_ID, c.USER_KEY], use_threads=False):
            by_id, by_key = pc.is_in(batch[c.USER_ID], value_set=ids), pc.is_in(batch[c.USER_KEY], value_set=keys)
            found = np.flatnonzero(pc.or_(by_id, by_key).to_numpy(zero_copy_only=False))
            if found.size:
                user = batch[c.USER_ID][int(found[0])].as_py()
                raise UserError(f"{path} has the row of user {user!r}; {_AGAIN}")


def _check_rejects(folder: Path, entry: dict[str, Any] | None, mentions: Mentions) -> None:
    if entry:
        with pq.ParquetFile(folder / entry["path"], page_checksum_verification=True, pre_buffer=False) as file:
            for batch in file.iter_batches(columns=["content"], use_threads=False):
                if mentions.any(batch["content"].to_pylist()):
                    raise UserError(f"{folder / entry['path']} mentions one of these users; {_AGAIN}")


def key_of(user_id: str) -> int:
    """The key of a user: the lower half of the md5 of the id, signed."""
    return int.from_bytes(hashlib.md5(user_id.encode(), usedforsecurity=False).digest()[8:], "little", signed=True)
