"""Flipped bits in prepared data sets."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq

from ltrec.data.manifest import Manifest


def flip(path: Path, at: int, bit: int = 0) -> None:
    """Flip one bit of a file; the same call again mends it."""
    with open(path, "r+b") as handle:
        handle.seek(at)
        (byte,) = handle.read(1)
        handle.seek(at)
        handle.write(bytes([byte ^ 1 << bit]))


def flip_group(folder: Path, manifest: Manifest, shard: int, group: int, column: str = "items.list.element") -> None:
    """Flip a bit in the last byte of a column of a row group."""
    path = folder / manifest.shards[shard].path
    with pq.ParquetFile(path) as file:
        row_group = file.metadata.row_group(group)
        chunks = [row_group.column(i) for i in range(row_group.num_columns)]
    chunk = next(chunk for chunk in chunks if chunk.path_in_schema == column)
    flip(path, chunk.data_page_offset + chunk.total_compressed_size - 1)


def shards_of_stratum(manifest: Manifest, stratum: int) -> list[int]:
    """Numbers of the shards that are trained on."""
    return [n for n, shard in enumerate(manifest.shards) if shard.stratum == stratum and shard.trainable]
