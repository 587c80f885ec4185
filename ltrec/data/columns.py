"""Read the columns that are stored beside the shards: the item table, and the vocabularies of categorical columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from ltrec.columns.names import unknown_column
from ltrec.columns.schema import Column
from ltrec.core import columns as c
from ltrec.core.errors import UserError, first_line
from ltrec.core.ragged import prefix_sums
from ltrec.core.storage.atomic import sha256_file
from ltrec.data.manifest import MEND, Manifest

Values = npt.NDArray[Any]


def item_values(folder: Path, manifest: Manifest, name: str) -> tuple[Values, npt.NDArray[np.int64] | None]:
    """Values of an item column in the order of item ids; row 0 is item 1.

    Returns:
        ([V] or [V, width], None); for a list of categories, (the flattened ids, offsets [V+1]).

    Raises:
        UserError: there is no such column, or the file is missing or damaged.
    """
    known = manifest.columns.of("item")
    if name not in known:
        raise unknown_column(folder, "item", name, known)
    parts = [flat(batch.column(0)) for batch in item_batches(folder, manifest, [name])]
    values = np.concatenate([values for values, _ in parts]) if parts else np.zeros(0, np.float32)
    if not parts or parts[0][1] is None:
        return values, None
    return values, prefix_sums(np.concatenate([lengths for _, lengths in parts if lengths is not None]).astype(np.int64))


def item_batches(folder: Path, manifest: Manifest, names: Sequence[str], rows: int = 1 << 16) -> Iterator[pa.RecordBatch]:
    """Item columns in the order of item ids, in batches; the file is checked first.

    Raises:
        UserError: it is missing or damaged.
    """
    if (entry := manifest.item_table) is None:
        raise UserError(f"{folder} has no item columns; declare them in the option `items` of prepare, and {MEND}")
    path = folder / entry.path
    _check(path, entry.sha256)
    try:
        with pq.ParquetFile(path, page_checksum_verification=True, pre_buffer=False) as file:
            yield from file.iter_batches(rows, columns=list(names), use_threads=False)
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"{path} is damaged ({first_line(error)}); {MEND}") from None


def vocabulary_of(folder: Path, manifest: Manifest, column: Column) -> list[str]:
    """Values of a categorical column in the order of their ids; the first has id 2 (0 = missing, 1 = unknown or rare).

    Raises:
        UserError: the file is missing or damaged.
    """
    path = folder / column.file
    _check(path, manifest.files()[column.file][1])
    try:
        with pq.ParquetFile(path, page_checksum_verification=True, pre_buffer=False) as file:
            values: list[str] = file.read([c.VALUE])[c.VALUE].to_pylist()
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"{path} is damaged ({first_line(error)}); {MEND}") from None
    return values


def _check(path: Path, sha256: str) -> None:
    if not path.is_file():
        raise UserError(f"{path} is missing; {MEND}")
    if sha256_file(path) != sha256:
        raise UserError(f"{path} is damaged: its sha256 is not the manifest's; {MEND}")


def flat(column: pa.Array) -> tuple[Values, Values | None]:
    """A stored item column as (values, None), or lists of varying length as (flattened values, lengths)."""
    if pa.types.is_fixed_size_list(column.type):
        return column.flatten().to_numpy().reshape(len(column), column.type.list_size), None
    if pa.types.is_list(column.type):
        return column.flatten().to_numpy(), column.value_lengths().to_numpy()
    return column.to_numpy(), None
