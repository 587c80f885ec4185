"""Columns made by hand: of every kind, for items, events and users, and batches that carry them."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import torch
from torch import Tensor

from ltrec.columns.schema import Schema
from ltrec.core.batch import SequenceBatch
from ltrec.data.manifest import Manifest
from ltrec.models.inputs import ColumnInput, Inputs, ItemColumnInput, encoders
from tests.support.shards import User, column, random_users, write_dataset

KINDS = {
    "brand": ("category", 7),
    "genres": ("categories", 9),
    "price": ("number", 1),
    "released": ("time", 1),
    "text": ("vector", 5),
}
"""name -> kind, size."""


def described(size=1, **statistics) -> SimpleNamespace:
    """A column as a data set describes it."""
    return SimpleNamespace(size=size, statistics=statistics, options={})


def embed(kind: str, size: int):
    """width -> the kind's module, as a run makes it."""
    return lambda width: getattr(encoders, kind)(described(size, mean=2.0, deviation=3.0), width)


def values_of(kind: str, size: int, rows: int, g: torch.Generator) -> Tensor:
    """Values of a column, some of them missing."""
    gone = torch.rand(rows, generator=g) < 0.2
    if kind == "category":
        return torch.randint(0, size, (rows,), generator=g, dtype=torch.int32)
    if kind == "categories":
        ids = torch.randint(1, size, (rows, 4), generator=g, dtype=torch.int32)
        return ids * (torch.arange(4) < torch.randint(0, 5, (rows, 1), generator=g))
    if kind == "number":
        return (2 + 3 * torch.randn(rows, generator=g)).masked_fill(gone, torch.nan)
    if kind == "time":
        return torch.randint(0, 10**9, (rows,), generator=g).masked_fill(gone, -(2**63))
    return torch.randn(rows, size, generator=g).masked_fill(gone[:, None], 0.0)


def item_columns(num_items: int, seed: int = 3, names=tuple(KINDS)) -> tuple[ItemColumnInput, ...]:
    """Columns of items 1..V."""
    g = torch.Generator().manual_seed(seed)
    return tuple(ItemColumnInput(n, embed(*KINDS[n]), values_of(*KINDS[n], num_items + 1, g)) for n in names)


def every_input(num_items: int, *, untrained=(), time_gap=True, id_dropout=0.0, id_neighbours=0) -> Inputs:
    """Columns of everything; some items have no id vector."""
    trained = torch.ones(num_items + 1, dtype=torch.bool).index_fill(0, torch.tensor([0, *untrained]), False)
    event = tuple(ColumnInput(n, embed(*KINDS[n])) for n in ("brand", "price"))
    return Inputs(
        item_columns(num_items), event, (ColumnInput("age", embed("number", 1)),), time_gap, trained, id_dropout, id_neighbours
    )


def with_columns(batch: SequenceBatch, seed: int = 5) -> SequenceBatch:
    """The batch with what `every_input` asks for; a row's columns depend on its place alone."""
    g = torch.Generator().manual_seed(seed)
    count = batch.items_T.numel()
    events = {name: values_of(*KINDS[name], count, g) for name in ("brand", "price")}
    events["time"] = torch.randint(0, 10**6, (count,), generator=g).cumsum(0)
    return replace(batch, events=events, users={"age": values_of("number", 1, batch.num_rows, g)})


SCHEMA = Schema(
    (
        column("type", "category", size=5),
        column("dwell", "number"),
        column("brand", "category", "item", 7),
        column("genres", "categories", "item", 6),
        column("price", "number", "item", log=True),
        column("released", "time", "item"),
        column("text", "vector", "item", 3),
        column("age", "number", "user"),
    )
)
"""Every kind; events and items and users have some."""


def column_data(folder: Path, *, num_items: int = 31) -> Path:
    """The tiny data set of `tests.support.tiny_run`, of the same users and events, with columns and an item without events."""
    g = torch.Generator().manual_seed(4)
    ids = list(range(num_items))
    items = {
        "brand": [i % 7 for i in ids],
        "genres": [list(range(2, 2 + i % 4)) for i in ids],
        "price": [math.nan if i % 5 == 0 else float(i) for i in ids],
        "released": [86400 * 31 * i for i in ids],
        "text": torch.randn(num_items, 3, generator=g).tolist(),
    }
    users = [_with_columns(user, number) for number, user in enumerate(random_users([40, 30, 20], num_items=30, longest=8))]
    write_dataset(folder, users, num_items=num_items, schema=SCHEMA, items=items)
    return folder


def column_data_with_strata(folder: Path) -> Path:
    """The same, with strata that the lengths of histories tell apart."""
    manifest = Manifest.load(column_data(folder))
    replace(manifest, strata=replace(manifest.strata, lower_bounds=(1, 5, 7))).save(folder)
    return folder


def _with_columns(user: User, number: int) -> User:
    count = len(user.items)
    events = {"type": [(number + i) % 5 for i in range(count)], "dwell": [math.nan if i % 3 == 2 else i / 2 for i in range(count)]}
    return replace(user, events=events, columns={"age": float(number % 50)}, times=[600 * i * i for i in range(count)])
