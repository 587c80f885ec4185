"""Items that the data set does not know, with vectors from their columns; nothing is trained.

A row of the table has an id and the raw values of the item columns that the model uses, by the names of the item table that was
prepared, or by the names of the columns. An item's vector is what the trained columns make of them, as for items of the data set
without training events: no id vector of its own, or with `inputs.id_neighbours` the mean of similar items'. Null is a missing
value, and a category that training never saw is an unknown one.

The items count as known in histories and can be recommended, except with `evaluation.candidates=seen`, which recommends only what
training saw. A memory has no neighbours of them, and they come last in the answer to an empty history. Without item columns a model
knows nothing by which to rank them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ltrec.artefact.dense.program import ALLOWED, FALLBACK
from ltrec.artefact.dense.scorers import CANDIDATES, trunks_of
from ltrec.artefact.recommender import vectors_of
from ltrec.config.tree import RunConfig
from ltrec.core import columns as c
from ltrec.core.errors import UserError, first_line
from ltrec.data.prepare.config import PrepareConfig
from ltrec.inference.given.columns import RawColumn
from ltrec.inference.given.ids import raw_names
from ltrec.models.inputs import ColumnItems
from ltrec.models.inputs.column_items import ItemColumn
from ltrec.run.build.components import Data
from ltrec.run.build.inputs import configured_columns


@dataclass(frozen=True, slots=True)
class NewItems:
    """N items.

    Attributes:
        item_id: raw ids.
        values: stored values [N, ...] of each item column that the model uses.
        known: rows of the table that are left out, because the data set has these items.
    """

    item_id: tuple[str, ...]
    values: Mapping[str, Tensor]
    known: int


def read_new_items(path: Path, config: RunConfig, data: Data) -> NewItems:
    """Read a Parquet table of items.

    Raises:
        UserError: the model uses no item columns, a column is missing, an id is null or occurs twice, or a value is none.
    """
    columns = configured_columns(config.inputs, data.manifest, "item")
    if not columns:
        raise UserError(
            "--items: the run uses no item columns, so nothing can rank a new item: it is skipped in histories and never "
            "recommended; train with inputs.items=[all] to append items later"
        )
    null_values = data.manifest.options.get("null_values", PrepareConfig().null_values)
    table, declared = _read(path), data.manifest.options.get("items", {})
    key = _named(table, path, (declared.get("id"), data.manifest.source.get("columns", {}).get("item"), c.ITEM_ID), "the item ids")
    fresh, names = _fresh(table[key], f"{path}: the column {key!r}", null_values, data.vocabulary.item_id)
    values = {}
    for name, column in columns.items():
        source = declared.get("columns", {}).get(name, {}).get("column") or name
        found = _named(table, path, (f"item.{name}", source, name), f"the item column {name!r}")
        raw = RawColumn(data.folder, data.manifest, column, null_values)
        stored = raw.stored(_one(table[found]), f"{path}: the column {found!r}", lambda row: f"{path}: row {row + 1}")
        values[name] = torch.from_numpy(stored[fresh])
    return NewItems(tuple(names), values, table.num_rows - len(names))


def extended_tables(tables: Mapping[str, Tensor], backbone: nn.Module, new: NewItems, *, allowed: bool) -> dict[str, Tensor]:
    """Tables of a program with the new items behind the others.

    Args:
        tables: without them.
        backbone: of the run; its item vectors are extended in place.
        new: the items.
        allowed: whether they may be recommended.
    """
    count, size = len(new.item_id), tables[ALLOWED].numel()
    for trunk in trunks_of(backbone).values():
        _extend(cast(ColumnItems, trunk.items), new)
    with torch.no_grad():
        vectors = vectors_of(backbone)
    found = {}
    for name, table in tables.items():
        if name in vectors:
            found[name] = torch.cat([table, vectors[name][size:]])
        elif name == FALLBACK:
            found[name] = torch.cat([table + count, torch.arange(count, 0, -1, dtype=table.dtype)])
        elif name == CANDIDATES:
            found[name] = torch.arange(1, size + count)
        else:
            found[name] = torch.cat([table, table.new_zeros(count, *table.shape[1:])])
    found[ALLOWED][size:] = allowed
    return found


def _extend(items: ColumnItems, new: NewItems) -> None:
    count, has_id_V = len(new.item_id), items.has_id
    for key, column in items.columns.items():
        own = cast(ItemColumn, column)
        own.values = _joined(own.values, new.values[key.removeprefix("of_")])
    if has_id_V is None:
        has_id_V = torch.arange(items.num_items + 1) > 0
    items.has_id = F.pad(has_id_V, (0, count))
    items.ids.weight = nn.Parameter(F.pad(items.ids.weight.detach(), (0, 0, 0, count)), requires_grad=False)
    items.num_items = items.ids.num_items = items.num_items + count
    items.eval()


def _joined(values: Tensor, more: Tensor) -> Tensor:
    """Both, lists of ids padded to the longer of the two."""
    if values.ndim == 2 and (width := max(values.shape[1], more.shape[1])):
        values, more = (F.pad(part, (0, width - part.shape[1])) for part in (values, more))
    return torch.cat([values, more.to(values.dtype)])


def _fresh(column: pa.ChunkedArray, what: str, null_values: Sequence[str], known: Sequence[str]) -> tuple[Any, list[str]]:
    """Rows of items that the data set does not know, and their ids.

    Raises:
        UserError: an id is null, or occurs twice.
    """
    names, old = raw_names(_one(column), what, null_values), {*known[1:]}
    seen: dict[str, int] = {}
    for row, name in enumerate(names, 1):
        if name is None:
            raise UserError(f"{what}: row {row} has no id")
        if name in seen:
            raise UserError(f"{what}: item {name!r} occurs twice, in rows {seen[name]} and {row}")
        seen[name] = row
    fresh = np.array([name not in old for name in names], bool)
    if not fresh.any():
        raise UserError(f"{what}: all {len(names)} items are in the data set already")
    return fresh, [name for name in seen if name not in old]


def _read(path: Path) -> pa.Table:
    try:
        return pq.read_table(path, partitioning=None)
    except (OSError, pa.ArrowException) as error:
        raise UserError(f"{path} cannot be read as Parquet: {first_line(error)}") from None


def _named(table: pa.Table, path: Path, names: Sequence[str | None], holds: str) -> str:
    for name in filter(None, names):
        if table.column_names.count(name) == 1:
            return name
    wanted = " or ".join(dict.fromkeys(repr(name) for name in names if name))
    raise UserError(f"{path} has no column with {holds}: name it {wanted}; it has {', '.join(table.column_names[:20])}")


def _one(column: pa.ChunkedArray) -> pa.Array:
    found = column.combine_chunks()
    return found.combine_chunks() if isinstance(found, pa.ChunkedArray) else found
