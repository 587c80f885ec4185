"""Files beside the shards, without the forgotten: vocabularies with the counts of the rest, distances, and kept rejects."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ltrec.columns.schema import Schema
from ltrec.core import columns as c
from ltrec.core.ragged import I64
from ltrec.data.columns import flat, item_batches
from ltrec.data.forget.files import checked_batches, replacement
from ltrec.data.forget.removed import Removed
from ltrec.data.forget.users import Mentions
from ltrec.data.manifest import ColumnFile, Manifest, Vocab
from ltrec.data.reach import KNOWN, OF_SPLIT, REACH_SCHEMA, read_reach_file
from ltrec.data.schema import VALUES_SCHEMA, VOCAB_SCHEMA


def item_vocabulary(folder: Path, manifest: Manifest, removed: Removed, work: Path) -> tuple[Vocab, I64]:
    """The vocabulary with training counts of the rest, and items (from 0) that have no training event any more."""
    counts = _column(folder, manifest, manifest.vocab.path, c.TRAIN_COUNT)
    lost = np.flatnonzero((counts > 0) & (counts == removed.count_V[1:]))
    if not removed.count_V.any():
        return manifest.vocab, lost
    name, size, digest = _with_counts(folder, manifest, manifest.vocab.path, c.TRAIN_COUNT, VOCAB_SCHEMA, removed.count_V, work)
    return replace(manifest.vocab, path=name, bytes=size, sha256=digest), lost


def column_files(
    folder: Path, manifest: Manifest, removed: Removed, lost: I64, work: Path
) -> tuple[Schema, tuple[ColumnFile, ...]]:
    """The columns, and the files of their values with the counts of the rest.

    Args:
        folder: the data set.
        manifest: of the data set.
        removed: rows.
        lost: items, from 0, that have no training event any more: their values count no more either.
        work: folder for what is written.
    """
    gone = {file: count.copy() for file, count in removed.values.items()}
    for column in manifest.columns.of("item").values():
        if column.file and lost.size:
            gone[column.file] += _values_of(folder, manifest, column.name, column.size, lost)
    written: dict[str, ColumnFile] = {}
    for file, count in gone.items():
        if count.any():
            written[file] = ColumnFile(*_with_counts(folder, manifest, file, c.COUNT, VALUES_SCHEMA, count, work))
    columns = tuple(
        replace(column, file=written[column.file].path) if column.file in written else column for column in manifest.columns
    )
    files = tuple(written.get(file.path, file) for file in manifest.column_files)
    return (replace(manifest.columns, columns=columns) if columns else manifest.columns), files


def reach(folder: Path, manifest: Manifest, removed: Removed, work: Path) -> dict[str, Any] | None:
    """The entry of the file of distances without the removed users; None if there is none."""
    if (entry := manifest.summary.get("reach")) is None:
        return None
    rows = read_reach_file(folder / entry["path"], entry["sha256"])
    stratum = [removed.stratum_of(key) for key in rows[c.USER_KEY].to_pylist()]
    valid = np.array(entry["valid"])
    for z, distance in zip(stratum, rows[c.REACH_VALID].to_pylist(), strict=True):
        if z is not None and z >= 0 and distance in KNOWN:
            valid[z][KNOWN.index(distance)] -= 1
    kept = rows.filter(pa.array([z is None for z in stratum]))

    def write(path: Path) -> None:
        encodings = {c.USER_KEY: "PLAIN", **dict.fromkeys(OF_SPLIT.values(), "PLAIN")}
        options = {"compression": "zstd", "use_dictionary": False, "write_page_checksum": True}
        pq.write_table(kept.cast(REACH_SCHEMA), path, column_encoding=encodings, **options)

    name, size, digest = replacement(entry["path"], write, work)
    return {"path": name, "bytes": size, "sha256": digest, "valid": valid.tolist()}


def without_rejects(folder: Path, manifest: Manifest, mentions: Mentions) -> dict[str, Any]:
    """Changes of the summary: kept rejects that mention one of the users are dropped, file by file; their counts stay.

    Raises:
        UserError: a file is missing or damaged.
    """
    changes: dict[str, Any] = {}
    if _mention(folder, manifest, manifest.summary.get("rejects_file"), mentions):
        changes["rejects_file"] = None
    table = manifest.summary.get("user_table")
    if table and _mention(folder, manifest, table.get("rejects_file"), mentions):
        changes["user_table"] = {key: value for key, value in table.items() if key != "rejects_file"}
    return changes


def _mention(folder: Path, manifest: Manifest, entry: dict[str, Any] | None, mentions: Mentions) -> bool:
    if not entry:
        return False
    batches = checked_batches(folder, manifest, entry["path"], ["content"])
    return any(mentions.any(batch["content"].to_pylist()) for batch in batches)


def _column(folder: Path, manifest: Manifest, name: str, column: str) -> I64:
    parts = [batch[column].to_numpy() for batch in checked_batches(folder, manifest, name, [column])]
    values: I64 = np.concatenate(parts) if parts else np.zeros(0, np.int64)
    return values


def _values_of(folder: Path, manifest: Manifest, name: str, size: int, items: I64) -> I64:
    """Occurrences of a column's values in these items, by id."""
    found, before = np.zeros(size, np.int64), 0
    for batch in item_batches(folder, manifest, [name]):
        values, lengths = flat(batch.column(0))
        own = np.zeros(batch.num_rows, np.bool_)
        own[items[(items >= before) & (items < before + batch.num_rows)] - before] = True
        found += np.bincount(values[own if lengths is None else np.repeat(own, lengths)], minlength=size)
        before += batch.num_rows
    return found


def _with_counts(
    folder: Path, manifest: Manifest, name: str, column: str, schema: pa.Schema, less: I64, work: Path
) -> tuple[str, int, str]:
    """A file with lower counts; its first column are ids, by which `less` says how much lower."""

    def write(path: Path) -> None:
        at = schema.get_field_index(column)
        with pq.ParquetWriter(path, schema, compression="zstd", use_dictionary=False, write_page_checksum=True) as file:
            for batch in checked_batches(folder, manifest, name):
                counts = pa.array(batch[column].to_numpy() - less[batch.column(0).to_numpy()])
                columns = [counts if i == at else own for i, own in enumerate(batch.columns)]
                file.write_batch(pa.record_batch(columns, schema=schema))

    return replacement(name, write, work)
