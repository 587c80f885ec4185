"""Files that torch.save writes are zip archives whose records carry a CRC-32, which torch writes and does not read. Here it is."""

from __future__ import annotations

import pickle
import zipfile
import zlib
from pathlib import Path

DAMAGE = (zipfile.BadZipFile, zlib.error, pickle.UnpicklingError, RuntimeError, ValueError, EOFError, NotImplementedError)
"""What damaged or foreign bytes lead to, in the archive, its compression and the restricted unpickler."""


def check_sums(path: Path) -> None:
    """Compare every record with its checksum.

    Raises:
        zipfile.BadZipFile: one does not match.
        OSError, and those of DAMAGE: the file cannot be read, or is no archive.
    """
    with zipfile.ZipFile(path) as archive:
        if (record := archive.testzip()) is not None:
            raise zipfile.BadZipFile(f"record {record} does not match its checksum")
