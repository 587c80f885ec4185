"""Parquet files that stay open from one row group to the next: to open one, with its footer at hand, costs as much as a tenth of
reading a row group. A reader must not be shared by threads, so each thread has a few of its own, which close with it.
"""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from threading import local

import pyarrow.parquet as pq

_KEPT = 16  # by each thread
_GROUPS_KEPT = 512  # row groups of as many files like the one just opened, for their footers are held


class OpenFiles(local):
    """The files that this thread used last."""

    def __init__(self) -> None:
        self._files: OrderedDict[Path, pq.ParquetFile] = OrderedDict()

    def of(self, path: Path, footer: pq.FileMetaData) -> pq.ParquetFile:
        """A file whose footer is known, and whose pages are read one after the other, with their checksums."""
        if (file := self._files.get(path)) is not None:
            self._files.move_to_end(path)
            return file
        file = self._files[path] = opened(path, footer)
        while len(self._files) > min(_KEPT, max(1, _GROUPS_KEPT // max(1, footer.num_row_groups))):
            self._files.popitem(last=False)[1].close()
        return file

    def close(self, path: Path) -> None:
        """Open it anew next time."""
        if (file := self._files.pop(path, None)) is not None:
            file.close()


def opened(path: Path, footer: pq.FileMetaData) -> pq.ParquetFile:
    """A file to be closed by the caller."""
    return pq.ParquetFile(path, metadata=footer, pre_buffer=False, page_checksum_verification=True)
