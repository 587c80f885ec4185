"""Parquet files that carry the sha256 of all their bytes, so that no bit of them can flip unseen.

Parquet's own checksums cover pages. Its footer (schema, statistics, metadata, offsets) has none, and there a flipped bit may turn
`head_from` from 9 into 73 without a word. So the file is written with 64 zeros under a key of the footer, hashed, and the hash put
in their place; a reader puts the zeros back and hashes again. Any Parquet reader reads the file as it is.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

_KEY = b"ltrec.sha256"
_BLANK = b"0" * 64
_MARK = _KEY + b"\x18\x40"  # Thrift's compact form: a string of 64 bytes follows
_TAIL = 8  # the footer's length, 4 bytes little-endian, and the magic number


def write_sealed(rows: pa.Table, path: Path, row_group_size: int = 1 << 17) -> None:
    """Write rows with their schema's metadata, and seal the file."""
    with pq.ParquetWriter(path, rows.schema, compression="zstd", write_page_checksum=True) as writer:
        writer.write_table(rows, row_group_size=row_group_size)
        writer.add_key_value_metadata({_KEY: _BLANK})
    place = _place(path)
    assert place is not None, "the key was just written"
    digest = _blanked_digest(path, place)
    with open(path, "rb+") as handle:
        handle.seek(place)
        handle.write(digest)


def seal_holds(path: Path) -> bool | None:
    """Whether a file's bytes match the hash that it carries; None if it carries none.

    Raises:
        OSError: the file cannot be read.
    """
    place = _place(path)
    if place is None:
        return None
    with open(path, "rb") as handle:
        handle.seek(place)
        stated = handle.read(len(_BLANK))
    return stated == _blanked_digest(path, place)


def _place(path: Path) -> int | None:
    """Offset of the hash; None if the footer has none."""
    with open(path, "rb") as handle:
        size = handle.seek(0, 2)
        handle.seek(max(0, size - _TAIL))
        footer = min(int.from_bytes(handle.read(4), "little") + _TAIL, size)
        handle.seek(size - footer)
        found = handle.read().rfind(_MARK)
    place = size - footer + found + len(_MARK)
    return None if found < 0 or place + len(_BLANK) > size else place


def _blanked_digest(path: Path, place: int) -> bytes:
    """Hex sha256 of the file with zeros for the 64 bytes at `place`."""
    digest, left = hashlib.sha256(), place
    with open(path, "rb") as handle:
        while left:
            block = handle.read(min(left, 1 << 20))
            digest.update(block)
            left -= len(block)
        handle.seek(len(_BLANK), 1)
        digest.update(_BLANK)
        while block := handle.read(1 << 20):
            digest.update(block)
    return digest.hexdigest().encode()
