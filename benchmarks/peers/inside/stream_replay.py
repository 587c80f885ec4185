"""RePlay's Parquet data set, shuffled, as its Parquet module makes it."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.metadata import version

import torch
from measured import begin_stream, stream
from replay.data.nn.parquet.parquet_dataset import ParquetDataset

PARTITION = 1 << 16


def main() -> None:
    """Print the figures."""
    job = begin_stream()
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(job.seed)
    metadata = {"items": {"shape": job.columns, "padding": 0}}
    data = ParquetDataset(job.table, metadata, PARTITION, job.rows, generator=generator)

    def batches(_: int) -> Iterable[torch.Tensor]:
        return (batch["items"] for batch in data)

    stream(job, f"RePlay {version('replay-rec')}", batches)


if __name__ == "__main__":
    main()
