"""LitData: users in its own optimised format, which is written in the first round and not clocked, read by its loader."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import torch
from litdata import StreamingDataLoader, StreamingDataset, optimize
from measured import Batches, StreamJob, streams

PARTS = 8


def part(place: tuple[str, int]) -> Iterable[torch.Tensor]:
    """Users of a part of the table."""
    table, number = place
    lists = pq.read_table(table)["items"].combine_chunks()
    values, offsets = lists.values.to_numpy(), lists.offsets.to_numpy()
    for user in range(number, len(lists), PARTS):
        yield torch.from_numpy(values[offsets[user] : offsets[user + 1]].copy())


def padded(job: StreamJob) -> object:
    """Of a batch: the last items of every row, to the right."""

    def collate(rows: list[torch.Tensor]) -> torch.Tensor:
        cut = [row[-job.columns :] for row in rows]
        lengths = torch.tensor([len(row) for row in cut])
        batch = torch.zeros(len(rows), job.columns, dtype=torch.int64)
        batch[torch.arange(job.columns - 1, -1, -1) < lengths[:, None]] = torch.cat(cut)
        return batch

    return collate


def prepared(job: StreamJob) -> None:
    """Write the users, unless an earlier round has."""
    np.random.seed(job.seed)
    kept, whole = Path(job.kept) / "litdata", Path(job.kept) / "litdata-whole"
    if not whole.exists():
        places = [(job.table, number) for number in range(PARTS)]
        optimize(part, places, output_dir=str(kept), chunk_bytes="16MB", num_workers=1, mode="overwrite")
        whole.touch()


def opened(job: StreamJob) -> Batches:
    """What it wrote."""
    data = StreamingDataset(str(Path(job.kept) / "litdata"), shuffle=True, drop_last=False, seed=job.seed)
    loader = StreamingDataLoader(data, batch_size=job.rows, num_workers=0, collate_fn=padded(job), drop_last=False)
    return lambda _: loader


if __name__ == "__main__":
    torch.set_num_threads(1)
    streams(f"LitData {version('litdata')}", opened, prepared)
