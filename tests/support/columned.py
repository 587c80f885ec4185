"""Users with columns of every kind that the stream carries, and loaders of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ltrec.columns.schema import Projection, Schema
from ltrec.core.world import World
from ltrec.data.stream.loader import StreamLoader
from ltrec.data.stream.order.plan import Plan
from tests.support.shards import column

SCHEMA = Schema(
    (
        column("kind", "category", size=6),
        column("price", "number"),
        column("seen", "time"),
        column("job", "category", role="user", size=9),
        column("age", "number", role="user"),
    ),
    weight=True,
)
ALL = Projection(events=("kind", "price", "seen", "time"), users=("job", "age"))
TARGETS = {"kind": [2, 4]}


def with_columns(users, seed=3):
    """The users with random columns; a fifth of the numbers missing, a fifth of the weights 0."""
    draw = np.random.default_rng(seed)
    made = []
    for user in users:
        n = len(user.items)
        events = {
            "kind": draw.integers(0, 6, n).tolist(),
            "price": np.where(draw.random(n) < 0.2, np.nan, draw.integers(0, 99, n)).astype(np.float32).tolist(),
            "seen": draw.integers(0, 1 << 40, n).tolist(),
        }
        weight = np.where(draw.random(n) < 0.2, 0.0, draw.integers(1, 9, n) / 4).tolist()
        columns = {"job": int(draw.integers(0, 9)), "age": float(draw.integers(9, 99))}
        times = np.sort(draw.integers(0, 1 << 30, n)).tolist()
        made.append(replace(user, events=events, weight=weight, columns=columns, times=times))
    return made


def make(tiny, config, *, rank=0, size=1, seed=5, **options):
    folder, manifest, _ = tiny
    return StreamLoader(folder, manifest, Plan.of(manifest, seed, config), world=World(rank, size), **options)
