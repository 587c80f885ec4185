"""LitData: users in its own optimised format, which is written first and not clocked, read by its loader."""

from __future__ import annotations

import time
from collections.abc import Iterable
from importlib.metadata import version

import numpy as np
import pyarrow.parquet as pq
import torch
from litdata import StreamingDataLoader, StreamingDataset, optimize
from measured import StreamJob, begin_stream, stream

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


def main() -> None:
    """Print the figures."""
    job = begin_stream()
    torch.set_num_threads(1)
    np.random.seed(job.seed)
    began = time.perf_counter()
    places = [(job.table, number) for number in range(PARTS)]
    optimize(part, places, output_dir="optimised", chunk_bytes="16MB", num_workers=1)
    written = time.perf_counter() - began
    data = StreamingDataset("optimised", shuffle=True, drop_last=False, seed=job.seed)
    loader = StreamingDataLoader(data, batch_size=job.rows, num_workers=0, collate_fn=padded(job), drop_last=False)
    stream(job, f"LitData {version('litdata')}", lambda _: loader, written_s=round(written, 1))


if __name__ == "__main__":
    main()
