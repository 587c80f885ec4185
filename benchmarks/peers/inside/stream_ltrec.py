"""ltrec's stream from disk through its lanes, none of it kept in memory, padded like the others' batches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from importlib.metadata import version

import torch
from measured import StreamJob, begin_stream, stream
from torch import Tensor

from ltrec.core.batch import SequenceBatch
from ltrec.data.stream.config import StreamConfig
from ltrec.data.stream.open import open_stream

LANES = 8


def padded(batch: SequenceBatch, columns: int) -> Tensor:
    """Inputs and the last target of every row, to the right."""
    ends = batch.offsets[1:, None]
    lengths = ends - batch.offsets[:-1, None]
    back = torch.arange(columns - 1, 0, -1)
    rows = torch.where(back <= lengths, batch.items_T[(ends - back).clamp_min(0)], 0)
    return torch.cat([rows, batch.targets_T[ends - 1]], dim=1)


def once(batches: Iterable[SequenceBatch], columns: int) -> Iterator[Tensor]:
    """Without the users who fill the last step, who have been there before: not clocked."""
    known: set[int] = set()
    for batch in batches:
        keys = batch.user_key_B.tolist()
        new = [row for row, key in enumerate(keys) if key not in known and key not in keys[:row]]
        known.update(keys)
        yield padded(batch, columns)[new]


def main(resident_mib: int = 0) -> None:
    """Print the figures. `resident_mib`: keep data up to this size in memory."""
    job: StreamJob = begin_stream()
    torch.set_num_threads(1)
    config = StreamConfig(batch_rows=job.rows, lanes=LANES, max_len=job.columns - 1, resident_mib=resident_mib, threads=1)

    def batches(number: int) -> Iterable[Tensor]:
        found = open_stream(job.data, config, seed=job.seed + number)
        return (padded(batch, job.columns) for batch in found) if number else once(found, job.columns)

    stream(job, f"ltrec {version('ltrec')}", batches)


if __name__ == "__main__":
    main()
