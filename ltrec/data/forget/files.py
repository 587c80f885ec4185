"""Reading and replacing files of a data set."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from ltrec.core.errors import UserError, first_line
from ltrec.core.storage.atomic import atomic_path, rename_by_hash, sha256_file
from ltrec.data.manifest import MEND, Manifest

_HASH = 17  # characters that a name ends with: a dash and 16 digits
_ROWS = 1 << 16


def checked_batches(folder: Path, manifest: Manifest, name: str, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
    """The rows of a Parquet file of a data set, whose hash is compared first.

    Raises:
        UserError: it is missing or damaged.
    """
    path = folder / name
    try:
        if sha256_file(path) != manifest.files()[name][1]:
            raise UserError(f"{path} is damaged: its sha256 is not the manifest's; {MEND}")
        with pq.ParquetFile(path, page_checksum_verification=True, pre_buffer=False) as file:
            yield from file.iter_batches(_ROWS, columns=None if columns is None else list(columns), use_threads=False)
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"{path} is missing or damaged ({first_line(error)}); {MEND}") from None


def replacement(old: str, write: Callable[[Path], None], work: Path) -> tuple[str, int, str]:
    """Path, size and hash of a file that `write` makes in place of another one; it is named by its content."""
    path = work / Path(old).parent / f"{Path(old).stem[:-_HASH]}.tmp"
    with atomic_path(path) as temporary:
        write(temporary)
    final, digest = rename_by_hash(path)
    return final.relative_to(work).as_posix(), final.stat().st_size, digest
