"""Small histories, scores and evaluation tables for the tests of evaluation and prediction."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import torch

from ltrec.core.batch import SequenceBatch
from ltrec.core.strata import Strata
from ltrec.data.stream.reading.histories import HistoryChunk
from ltrec.evaluation.catalogue import ItemCatalogue
from ltrec.evaluation.table import TABLE_SCHEMA, EvalTable, Protocol

BOUNDS, HEAD_FROM = (1, 5, 9), 9


def history_chunk(seen: list[list[int]], targets: list[int], *, index: int = 0, first: int = 0, stratum: int = 0) -> HistoryChunk:
    """Users u<first>, u<first+1>, ... with the given histories and targets."""
    flat = torch.tensor([item for items in seen for item in items], dtype=torch.int64)
    lengths = torch.tensor([len(items) for items in seen], dtype=torch.int64)
    offsets = torch.cat([torch.zeros(1, dtype=torch.int64), lengths.cumsum(0)])
    numbers = range(first, first + len(seen))
    keys = torch.tensor([1_000_003 * (n + 1) for n in numbers], dtype=torch.int64)
    strata = torch.full((len(seen),), stratum, dtype=torch.int64)
    batch = SequenceBatch.of_histories(flat, offsets, strata, keys)
    target = torch.tensor(targets, dtype=torch.int64)
    names, activity, length = [f"u{n}" for n in numbers], lengths.clone(), lengths.clone()
    return HistoryChunk(index, batch, names, strata.clone(), activity, length, target, flat.clone(), offsets.clone())


@dataclass
class FakeHistories:
    """Histories held in memory: chunks of users with a history, then chunks of users without."""

    warm: list[HistoryChunk]
    cold: list[HistoryChunk]

    def __len__(self) -> int:
        return len(self.warm)

    @property
    def num_cold_chunks(self) -> int:
        return len(self.cold)

    def chunk(self, index: int) -> HistoryChunk:
        return self.warm[index]

    def cold_chunk(self, index: int) -> HistoryChunk:
        return self.cold[index]


def random_histories(users: int, num_items: int, *, chunk_rows: int, cold: int = 0, seed: int = 0) -> FakeHistories:
    """Users with 1 to 6 events and random targets, in chunks."""
    draw = np.random.default_rng(seed)
    seen = [draw.integers(1, num_items + 1, draw.integers(1, 7)).tolist() for _ in range(users)] + [[]] * cold
    targets = draw.integers(1, num_items + 1, users + cold).tolist()
    starts = [*range(0, users, chunk_rows)]
    warm = [
        history_chunk(seen[a : min(a + chunk_rows, users)], targets[a : min(a + chunk_rows, users)], index=i, first=a)
        for i, a in enumerate(starts)
    ]
    cold_chunks = [history_chunk(seen[users:], targets[users:], first=users, stratum=-1)] if cold else []
    return FakeHistories(warm, cold_chunks)


def falling_counts(num_items: int, top: int = 100) -> torch.Tensor:
    """Training counts [V+1] that fall with the id."""
    count = torch.div(top, torch.arange(1, num_items + 1), rounding_mode="floor")
    return torch.cat([torch.zeros(1, dtype=torch.int64), count])


def eval_table(
    rank,
    activity=None,
    *,
    target=None,
    history=None,
    stratum=None,
    seed: int | None = 0,
    name: str = "model",
    protocol: Protocol | None = None,
    num_items: int = 100,
    users=None,
    top=None,
    reach=None,
) -> EvalTable:
    """A table from ranks. `users` are the numbers of the users; everything else has a plausible default."""
    rank = np.asarray(rank)
    count = len(rank)
    activity = np.full(count, 3) if activity is None else np.asarray(activity)
    strata = Strata(BOUNDS, (1, 1, 1), (1, 1, 1), HEAD_FROM)
    catalogue = ItemCatalogue.of(falling_counts(num_items))
    users = np.arange(count) if users is None else np.asarray(users)
    target = 1 + users % num_items if target is None else np.asarray(target)
    lists = [[1, 2, 3]] * count if top is None else top
    columns = [
        [f"u{n}" for n in users],
        users * 31 + 7,
        strata.of(activity) if stratum is None else np.asarray(stratum),
        activity,
        activity if history is None else np.asarray(history),
        target,
        catalogue.count_of(target),
        np.zeros(count, dtype=bool),
        np.full(count, -1) if reach is None else np.asarray(reach),
        rank,
        np.full(count, num_items),
        lists,
    ]
    rows = pa.Table.from_arrays([pa.array(v, f.type) for v, f in zip(columns, TABLE_SCHEMA, strict=True)], schema=TABLE_SCHEMA)
    return EvalTable(rows, protocol or Protocol("abc123", "test"), {"scorer": name, "seed": seed}, strata, catalogue)
