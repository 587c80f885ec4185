"""Neighbours on disk: an ordinary Parquet file with a row per pair and a digest of its bytes.

    item int32, neighbour int32, weight float32        by item, then descending weight

Its metadata record the source and the method of the counts, and the number of items. The file is written atomically, and
any flipped bit is detected. The contents are checked as well, because a correct digest does not make them valid.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from ltrec.core import columns as c
from ltrec.core.bounds import INT32, Between
from ltrec.core.errors import UserError, first_line
from ltrec.core.storage.atomic import atomic_path, refuse_special
from ltrec.core.storage.canonical import canonical_json
from ltrec.core.storage.sealed_parquet import seal_holds, write_sealed
from ltrec.core.storage.typed import construct
from ltrec.data.neighbours.table import Neighbours
from ltrec.data.neighbours.ties import I64

NEIGHBOUR, WEIGHT = "neighbour", "weight"
SCHEMA = pa.schema(
    [
        pa.field(c.ITEM, pa.int32(), nullable=False),
        pa.field(NEIGHBOUR, pa.int32(), nullable=False),
        pa.field(WEIGHT, pa.float32(), nullable=False),
    ]
)
_META = b"ltrec.neighbours"
_UNREADABLE = (pa.ArrowException, OSError, ValueError, KeyError, MemoryError)
_ROWS = 1 << 17


@dataclass(frozen=True, slots=True)
class _Header:
    """The metadata: V, N, and `Neighbours.made_of`."""

    items: Annotated[int, Between(0, INT32)]
    neighbours: Annotated[int, Between(1, 1000)]
    made_of: dict[str, Any]
    version: Annotated[int, Between(1, 1)] = 1


def write_neighbours(path: Path, found: Neighbours) -> None:
    """Write the file atomically.

    Raises:
        OSError: the disk is full.
    """
    item_VN, weight_VN = found.item_VN.cpu().numpy(), found.weight_VN.cpu().numpy()
    item, place = np.nonzero(item_VN)
    columns = [pa.array(item.astype(np.int32)), pa.array(item_VN[item, place]), pa.array(weight_VN[item, place])]
    header = _Header(found.num_items, item_VN.shape[1], found.made_of)
    schema = SCHEMA.with_metadata({_META: canonical_json(asdict(header))})
    with atomic_path(path) as temporary:
        write_sealed(pa.Table.from_arrays(columns, schema=schema), temporary)


def read_neighbours(path: Path, made_of: dict[str, Any] | None = None) -> Neighbours:
    """Read and check a file.

    Args:
        path: the file.
        made_of: the required data and options (`count.made_of`); None = any.

    Raises:
        UserError: the file is missing, damaged, or of other data or options.
    """
    try:
        refuse_special(path)
        if not seal_holds(path):
            raise ValueError("its bytes do not match its digest")
        with pq.ParquetFile(path) as file:
            header = construct(_Header, json.loads((file.schema_arrow.metadata or {})[_META]))
            _refuse_other(path, header.made_of, made_of)
            if not file.schema_arrow.equals(SCHEMA):
                raise ValueError("it has other columns")
            return _filled(file, header)
    except FileNotFoundError:
        raise UserError(f"{path} not found: no neighbours were counted there; evaluate the run again") from None
    except _UNREADABLE as error:
        raise UserError(f"{path} is damaged ({first_line(error)}); remove it and evaluate again, to count again") from None


def _refuse_other(path: Path, found: dict[str, Any], wanted: dict[str, Any] | None) -> None:
    if wanted is None or found == wanted:
        return
    key = next(key for key in (*wanted, *found) if found.get(key) != wanted.get(key))
    was, now = (str(made.get(key))[:12] for made in (found, wanted))
    raise UserError(f"{path} was counted with {key}={was}, not {now}; remove it and evaluate again, to count again")


def _filled(file: pq.ParquetFile, header: _Header) -> Neighbours:
    item_VN = np.zeros((header.items + 1, header.neighbours), np.int32)
    weight_VN = np.zeros((header.items + 1, header.neighbours), np.float32)
    used = np.zeros(header.items + 1, np.int64)
    for rows in file.iter_batches(_ROWS, use_threads=False):
        item, neighbour, weight = (column.to_numpy() for column in rows.columns)
        if (np.minimum(item, neighbour) < 1).any() or (np.maximum(item, neighbour) > header.items).any():
            raise ValueError(f"an item outside 1..{header.items}")
        if (np.diff(item) < 0).any() or not ((weight > 0) & np.isfinite(weight)).all():
            raise ValueError("items out of order, or an invalid weight")
        place = _places(item.astype(np.int64), used)
        if (place >= header.neighbours).any():
            raise ValueError(f"an item with more than {header.neighbours} neighbours")
        item_VN[item, place], weight_VN[item, place] = neighbour, weight
    return Neighbours(torch.from_numpy(item_VN), torch.from_numpy(weight_VN), header.made_of)


def _places(item: I64, used: I64) -> I64:
    """The index of every row among the rows of its item; `used` [V+1] counts earlier rows of each item."""
    first = np.flatnonzero(np.diff(item, prepend=-1))
    lengths = np.diff(first, append=item.size)
    places: I64 = np.arange(item.size) - np.repeat(first - used[item[first]], lengths)
    used[item[first]] += lengths
    return places
