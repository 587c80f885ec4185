"""Items that may be recommended, and items that may not, for all users of a job."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import Tensor

from ltrec.core import columns as c
from ltrec.core.errors import UserError, first_line
from ltrec.inference.given.ids import ItemIds


@dataclass(frozen=True, slots=True)
class ItemLists:
    """Raw ids.

    Attributes:
        allow: nothing else may be recommended; None = everything may.
        deny: these may not.
    """

    allow: pa.Array | None = None
    deny: pa.Array | None = None

    def allowed(self, item_id: Sequence[str], first: int | None) -> Tensor | None:
        """bool [V+1]; None if all items are allowed.

        Args:
            item_id: raw ids [V+1], entry 0 unused.
            first: only so many items, from the first on, are candidates at all; None = all.

        Raises:
            UserError: a list names no item that there is, or nothing is left.
        """
        if self.allow is None and self.deny is None and first is None:
            return None
        allowed_V, ids = torch.ones(len(item_id), dtype=torch.bool), ItemIds(item_id, ())
        allowed_V[0] = False
        if first is not None:
            allowed_V[first + 1 :] = False
        if self.allow is not None:
            listed_V = torch.zeros_like(allowed_V)
            listed_V[_known(ids, self.allow, "allow")] = True
            allowed_V &= listed_V
        if self.deny is not None:
            allowed_V[_known(ids, self.deny, "deny")] = False
        if not allowed_V.any():
            raise UserError("the lists of allowed and denied items leave nothing to recommend")
        return allowed_V

    def identity(self) -> list[str]:
        """Digests of both lists."""
        return [
            "" if ids is None else hashlib.sha256("\n".join(map(str, ids.to_pylist())).encode()).hexdigest()
            for ids in (self.allow, self.deny)
        ]


def read_item_list(path: Path) -> pa.Array:
    """Raw ids of a file: Parquet with a column `item_id`, or with one column only; else text, an id per line.

    Raises:
        UserError: the file is missing or damaged, or has several columns and none of that name.
    """
    try:
        if path.suffix not in (".parquet", ".pq"):
            return pa.array([line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()], pa.string())
        table = pq.read_table(path, partitioning=None)  # a folder `country=de` above it is no column
    except (OSError, UnicodeDecodeError, pa.ArrowException) as error:
        raise UserError(f"{path} cannot be read as a list of items: {first_line(error)}") from None
    if c.ITEM_ID not in table.column_names and table.num_columns != 1:
        raise UserError(f"{path} has no column {c.ITEM_ID!r}; it has {', '.join(table.column_names[:20])}")
    column = table[c.ITEM_ID if c.ITEM_ID in table.column_names else 0].combine_chunks()
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def _known(ids: ItemIds, listed: pa.Array, which: str) -> Tensor:
    found: Any = ids.of(listed, f"the list to {which}", lambda row: f"the list to {which}, entry {row + 1}")
    known = torch.from_numpy(found[found > 0])
    if not known.numel():
        raise UserError(f"the list to {which} names {len(listed)} items, of which the data set knows none")
    return known
