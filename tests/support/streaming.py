"""Loaders for the stream's tests: variants of the order, and what to compare of their batches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace

import pytest
import torch

from ltrec.core.batch import SequenceBatch
from ltrec.core.rows.on_host import HostRows
from ltrec.core.world import World
from ltrec.data.stream.config import StreamConfig
from ltrec.data.stream.loader import StreamLoader
from ltrec.data.stream.order.plan import Plan

BASE = StreamConfig(batch_rows=24, lanes=12, max_len=6, buffer_blocks=2)
VARIANTS = {
    "resident": BASE,
    "lanes": replace(BASE, resident_mib=0),
    "quota": replace(BASE, composition="quota", quotas=(10, 9, 5)),
    "quota-lanes": replace(BASE, composition="quota", quotas=(10, 9, 5), resident_mib=0),
    "random": replace(BASE, window="random"),
    "random-lanes": replace(BASE, window="random", resident_mib=0),
}
every_variant = pytest.mark.parametrize("config", VARIANTS.values(), ids=VARIANTS)


def make(tiny, config, rank=0, size=1, seed=5, **options):
    folder, manifest, _ = tiny
    return StreamLoader(folder, manifest, Plan.of(manifest, seed, config), world=World(rank, size), **options)


def same(a: SequenceBatch, b: SequenceBatch) -> bool:
    return all(_same(getattr(a, f.name), getattr(b, f.name)) for f in fields(SequenceBatch))


def _same(x, y) -> bool:
    if isinstance(x, HostRows):
        return all(_same(getattr(x, f.name), getattr(y, f.name)) for f in fields(HostRows))
    if isinstance(x, Mapping):
        return [*x] == [*y] and all(torch.equal(x[name], y[name]) for name in x)
    return torch.equal(x, y) if isinstance(x, torch.Tensor) else x == y


def all_same(left, right) -> bool:
    return len(left) == len(right) and all(same(a, b) for a, b in zip(left, right, strict=True))


def rows(batch: SequenceBatch):
    """Every row as (key, stratum, items, targets)."""
    bounds = batch.offsets.tolist()
    return [
        (key, stratum, tuple(batch.items_T[a:b].tolist()), tuple(batch.targets_T[a:b].tolist()))
        for key, stratum, a, b in zip(batch.user_key_B.tolist(), batch.stratum_B.tolist(), bounds, bounds[1:], strict=False)
    ]


def epochs(loader, count):
    """Train: advance after the last micro-batch of every step."""
    seen = []
    for _ in range(count):
        step = None
        for batch in loader:
            if step is not None and batch.step != step:
                loader.advance(step)
            seen.append(batch)
            step = batch.step
        loader.advance(step)
    return seen
