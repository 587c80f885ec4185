"""RePlay's Parquet data set, shuffled, as its Parquet module makes it."""

from __future__ import annotations

from importlib.metadata import version

import torch
from measured import Batches, StreamJob, streams
from replay.data.nn.parquet.parquet_dataset import ParquetDataset

PARTITION = 1 << 16


def opened(job: StreamJob) -> Batches:
    """The table."""
    generator = torch.Generator().manual_seed(job.seed)
    metadata = {"items": {"shape": job.columns, "padding": 0}}
    data = ParquetDataset(job.table, metadata, PARTITION, job.rows, generator=generator)
    return lambda _: (batch["items"] for batch in data)


if __name__ == "__main__":
    torch.set_num_threads(1)
    streams(f"RePlay {version('replay-rec')}", opened)
