"""Hugging Face `datasets`: Parquet streamed through a shuffle buffer, in Arrow's format, padded without a loop."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pyarrow as pa
from datasets import load_dataset
from measured import Batches, StreamJob, streams

BUFFER = 1 << 16


def padded(table: pa.Table, columns: int) -> np.ndarray:
    """The last items of every row, to the right."""
    lists = table["items"].combine_chunks()
    ends = lists.offsets.to_numpy()[1:, None]
    lengths = lists.value_lengths().to_numpy()[:, None]
    back = np.arange(columns, 0, -1)
    values = lists.values.to_numpy()
    return np.where(back <= lengths, values[np.maximum(ends - back, 0)], 0)


def opened(job: StreamJob) -> Batches:
    """The table, streamed."""
    files = sorted(map(str, Path(job.table).glob("*.parquet")))
    data = load_dataset("parquet", data_files=files, split="train", streaming=True)
    shuffled = data.shuffle(seed=job.seed, buffer_size=BUFFER).with_format("arrow")

    def batches(number: int) -> Iterable[np.ndarray]:
        shuffled.set_epoch(number)
        return (padded(table, job.columns) for table in shuffled.iter(batch_size=job.rows))

    return batches


if __name__ == "__main__":
    streams(f"datasets {version('datasets')}", opened)
