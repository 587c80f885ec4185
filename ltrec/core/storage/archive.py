"""Files that torch.save writes are zip archives whose records carry a CRC-32, which torch writes and does not read. Here it is."""

from __future__ import annotations

import pickle
import zipfile
import zlib
from pathlib import Path

from ltrec.core.storage.atomic import refuse_special

DAMAGE = (
    *(zipfile.BadZipFile, zlib.error, pickle.UnpicklingError, RuntimeError, ValueError, EOFError, NotImplementedError),
    *(AttributeError, KeyError, IndexError, TypeError, AssertionError, OverflowError, MemoryError),
)
"""Errors that damaged or foreign bytes cause in the archive, its compression and the restricted unpickler."""


def check_description(path: Path) -> None:
    """Compare the record that describes all others, and holds every plain value, with its checksum.

    Raises:
        zipfile.BadZipFile: it does not match, or there is none.
        OSError, and those of DAMAGE: the file cannot be read, or is not an archive.
    """
    with zipfile.ZipFile(path) as archive:
        names = [name for name in archive.namelist() if name.endswith("/data.pkl")]
        if len(names) != 1:
            raise zipfile.BadZipFile("no record that describes the others")
        archive.read(names[0])


def check_sums(path: Path) -> None:
    """Compare every record with its checksum.

    Raises:
        zipfile.BadZipFile: one does not match.
        OSError, and those of DAMAGE: the file cannot be read, or is not an archive.
    """
    refuse_special(path)
    with zipfile.ZipFile(path) as archive:
        records = archive.infolist()
        if any(record.compress_type != zipfile.ZIP_STORED for record in records):
            raise zipfile.BadZipFile("a record is compressed, which torch never does")  # it might unpack to more than any memory
        if sum(record.file_size for record in records) > path.stat().st_size:
            raise zipfile.BadZipFile("records are larger than the file")  # they overlap
        if (record := archive.testzip()) is not None:
            raise zipfile.BadZipFile(f"record {record} does not match its checksum")
