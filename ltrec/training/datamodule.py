"""The data module: gives Lightning the stream and the validation chunks, and saves the stream's cursor in the checkpoint."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytorch_lightning as pl
import torch

from ltrec.core.batch import SequenceBatch
from ltrec.core.world import World
from ltrec.data.stream.loader import StreamLoader
from ltrec.data.stream.reading.histories import HistoryChunk, SplitHistories
from ltrec.data.stream.state import as_signed
from ltrec.distributed.collectives import all_gather_parts, all_reduce_sum, current_world


def sum_over_ranks(own: int) -> int:
    """Add a 64-bit digest over all ranks, mod 2^64."""
    return int(all_reduce_sum(torch.tensor([as_signed(own)]))) & ((1 << 64) - 1)


@dataclass(frozen=True, slots=True)
class RankChunks:
    """This rank's validation chunks: every W-th, so that chunk borders do not depend on W.

    Every rank takes part in every round, with None when no chunk is left for it, or quarantine leaves nobody in its chunk: the
    others would wait for it when ranks are gathered.
    """

    histories: SplitHistories
    world: World

    def __len__(self) -> int:
        return -(-len(self.histories) // self.world.size)

    def __iter__(self) -> Iterator[HistoryChunk | None]:
        for turn in range(len(self)):
            index = turn * self.world.size + self.world.rank
            yield self.histories.chunk_if_any(index) if index < len(self.histories) else None


@dataclass(frozen=True, slots=True)
class TrainBatches:
    """The stream as Lightning sees it: batches and their number. Its state is saved by the data module, for Lightning would restore
    that of rank 0 on every rank."""

    loader: StreamLoader
    on_wait: Callable[[float], None]
    """Called with the seconds that training waited for a batch."""

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[SequenceBatch]:
        batches = iter(self.loader)
        while True:
            begin = time.perf_counter()
            batch = next(batches, None)
            self.on_wait(time.perf_counter() - begin)
            if batch is None:
                return
            yield batch


class StreamDataModule(pl.LightningDataModule):
    """Streams training batches; validates on fixed chunks of users.

    Args:
        loader: this rank's part of the stream.
        validation: histories of the validation split.
    """

    def __init__(self, loader: StreamLoader, validation: SplitHistories) -> None:
        super().__init__()
        self.loader = loader
        self.validation = validation
        self._waited = 0.0

    def train_dataloader(self) -> TrainBatches:
        """The stream, from the step where the checkpoint left it."""
        return TrainBatches(self.loader, self._wait)

    def _wait(self, seconds: float) -> None:
        self._waited += seconds

    def take_waited(self) -> float:
        """Seconds that training waited for batches since the last call."""
        waited, self._waited = self._waited, 0.0
        return waited

    @property
    def validates(self) -> bool:
        """Whether any user has a validation target. Lightning counts validation batches only before an epoch that ends with one."""
        return len(self.validation) > 0

    def val_dataloader(self) -> RankChunks:
        """This rank's validation chunks."""
        return RankChunks(self.validation, current_world())

    def state_dict(self) -> dict[str, Any]:
        """The stream's cursor and digests, equal on every rank; every rank calls this."""
        return self.loader.state_dict(sum_over_ranks, all_gather_parts)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the cursor."""
        self.loader.load_state_dict(state_dict)

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        """Move training batches; validation chunks stay on the host, the module moves what it scores."""
        return batch.to(device, non_blocking=True) if isinstance(batch, SequenceBatch) else batch


def stream_of(trainer: pl.Trainer) -> StreamDataModule:
    """The trainer's data module."""
    data = trainer.datamodule  # type: ignore[attr-defined]
    assert isinstance(data, StreamDataModule)
    return data
