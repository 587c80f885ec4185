"""ltrec's stream from disk through its lanes, padded like the others' batches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from importlib.metadata import version

import numpy as np
import torch
from measured import Batches, StreamJob, streams

from ltrec.core.batch import SequenceBatch
from ltrec.data.stream.config import StreamConfig
from ltrec.data.stream.loader import StreamLoader
from ltrec.data.stream.open import open_stream

LANES = 8
BUFFER_BLOCKS = 1
"""Two buffers of 8 lanes, of 4,096 users each, are the 65,536 users that the others shuffle together."""


def padded(batch: SequenceBatch, columns: int) -> np.ndarray:
    """Inputs and the last target of every row, to the right."""
    ends = batch.offsets[1:].numpy()
    rows = np.zeros((batch.num_rows, columns), np.int64)
    inputs = rows[:, :-1]
    inputs[np.arange(columns - 1, 0, -1) <= np.diff(ends, prepend=0)[:, None]] = batch.items_T.numpy()
    rows[:, -1] = batch.targets_T.numpy()[ends - 1]
    return rows


def once(loader: StreamLoader, columns: int) -> Iterator[np.ndarray]:
    """Without the users who fill the last step, who have been there before: not clocked."""
    known: set[int] = set()
    for batch in loader:
        keys = batch.user_key_B.tolist()
        new = [row for row, key in enumerate(keys) if key not in known and key not in keys[:row]]
        known.update(keys)
        yield padded(batch, columns)[new]
        loader.advance(batch.step)


def all_rows(loader: StreamLoader, columns: int) -> Iterator[np.ndarray]:
    """An epoch, as training goes through it."""
    for batch in loader:
        yield padded(batch, columns)
        loader.advance(batch.step)


def opened(job: StreamJob, **options: int) -> Batches:
    """The prepared data."""
    config = StreamConfig(batch_rows=job.rows, lanes=LANES, max_len=job.columns - 1, threads=1, **options)
    loader = open_stream(job.data, config, seed=job.seed)

    def batches(number: int) -> Iterable[np.ndarray]:
        return all_rows(loader, job.columns) if number else once(open_stream(job.data, config, seed=job.seed), job.columns)

    return batches


def main(**options: int) -> None:
    """Print the figures."""
    torch.set_num_threads(1)
    streams(f"ltrec {version('ltrec')}", lambda job: opened(job, **options))


if __name__ == "__main__":
    main(resident_mib=0, buffer_blocks=BUFFER_BLOCKS)
