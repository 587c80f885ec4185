"""StratifiedLoader: any loader of batches becomes one of stratified batches, as the strategies need them.

A strategy divides by how many examples each stratum has in the *whole* optimiser step, and must know that before the first forward
pass. So the adapter reads all micro-batches of a step ahead and tells each of them what they hold together:

    loader:  b0 b1 | b2 b3 | b4            accumulate_grad_batches=2; the epoch's last step has one micro-batch
    yields:  b0, b1 with the counts of b0 + b1;  b2, b3 with those of b2 + b3;  b4 with its own
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

import torch
from pytorch_lightning import Trainer
from torch import Tensor
from torch.utils.data import DataLoader, DistributedSampler, IterableDataset, RandomSampler, SequentialSampler

from ltrec.core.errors import UserError
from ltrec.core.world import World
from ltrec.distributed.batches import StratifiedBatch, rows_of
from ltrec.distributed.collectives import all_gather_parts, current_world

_KEPT = (
    "batch_size",
    "num_workers",
    "collate_fn",
    "pin_memory",
    "drop_last",
    "timeout",
    "worker_init_fn",
    "multiprocessing_context",
    "generator",
    "prefetch_factor",
    "persistent_workers",
)
"""Arguments of a DataLoader that stay when its sampler changes."""


class StratifiedLoader:
    """A loader of your own for `Trainer(strategy="stratified...")`.

        StratifiedLoader(DataLoader(dataset, batch_size=64, shuffle=True), lambda batch: batch["stratum"], num_strata=5)

    In several processes a plain DataLoader gets a DistributedSampler, as Lightning would give it one if it saw it.
    Loaders without a length end in all processes as soon as one of them has no batch left.

    Args:
        loader: yields batches: dictionaries, tuples or lists of tensors with B rows.
        stratum_of: batch -> its rows' strata, int64 [B], 0..K-1, or -1 for rows that are not trained on.
        num_strata: K.
        accumulate: micro-batches of an optimiser step; None = what the trainer accumulates.
        examples_of: batch -> how many losses each row brings, int64 [B]; None = one.
        weights_of: batch -> the sum of the weights of these losses, of each row, a float each [B]; the module's `losses` returns
            losses that are multiplied by them, and the weights themselves as a third vector. None = every loss weighs one.
        distributed_sampler: whether the rows are divided among several processes; False if each process already has its own.
    """

    def __init__(
        self,
        loader: Iterable[Any],
        stratum_of: Callable[[Any], Tensor],
        *,
        num_strata: int,
        accumulate: int | None = None,
        examples_of: Callable[[Any], Tensor] | None = None,
        weights_of: Callable[[Any], Tensor] | None = None,
        distributed_sampler: bool = True,
    ) -> None:
        self.loader = loader
        self.stratum_of = stratum_of
        self.num_strata = num_strata
        self.accumulate = accumulate
        self.examples_of = examples_of
        self.weights_of = weights_of
        self.distributed_sampler = distributed_sampler
        self._trainer: Trainer | None = None
        self._shared_out: tuple[World, Iterable[Any]] | None = None

    def follow(self, trainer: Trainer) -> None:
        """Use this trainer's accumulation, even if a callback changes it. Strategies call this."""
        self._trainer = trainer

    def __len__(self) -> int:
        return len(self._of_this_process())  # type: ignore[arg-type]  # TypeError where there is no length, as of any loader

    @property
    def sampler(self) -> object:
        """The sampler of the wrapped loader, which Lightning tells the epoch."""
        return getattr(self._of_this_process(), "sampler", None)

    def __iter__(self) -> Iterator[StratifiedBatch]:
        """Micro-batches with the counts of their whole step.

        Raises:
            UserError: invalid strata.
        """
        batches = iter(self._of_this_process())
        while step := self._agreed(list(islice(batches, self._micro_batches()))):
            strata = [self._strata(batch) for batch in step]
            counts_K, (weights_K, squares_K) = self._counts(step, strata), self._weights(step, strata)
            for micro, (batch, stratum_B) in enumerate(zip(step, strata, strict=True)):
                on_host = stratum_B if stratum_B.device.type == "cpu" else None
                yield StratifiedBatch(
                    batch,
                    stratum_B,
                    counts_K,
                    micro=micro,
                    step_weights_K=weights_K,
                    step_squares_K=squares_K,
                    host_stratum_B=on_host,
                )

    def _micro_batches(self) -> int:
        if self.accumulate is not None:
            return self.accumulate
        return 1 if self._trainer is None else self._trainer.accumulate_grad_batches

    def _agreed(self, step: list[Any]) -> list[Any]:
        """The number of micro-batches of every process, if the loader knows it."""
        if current_world().size == 1 or self._has_length():
            return step
        return step[: min(all_gather_parts(len(step)))]

    def _has_length(self) -> bool:
        try:
            return len(self) >= 0
        except TypeError:
            return False

    def _strata(self, batch: Any) -> Tensor:
        stratum_B, rows = self.stratum_of(batch), rows_of(batch)
        if not isinstance(stratum_B, Tensor) or stratum_B.dtype != torch.int64 or stratum_B.dim() != 1:
            kind = f"{stratum_B.dtype} {tuple(stratum_B.shape)}" if isinstance(stratum_B, Tensor) else type(stratum_B).__name__
            raise UserError(f"stratum_of must return one int64 stratum per row, a tensor [B]; it returned {kind}")
        if rows - {len(stratum_B)}:
            raise UserError(
                f"stratum_of returned {len(stratum_B)} strata for tensors of {', '.join(map(str, sorted(rows)))} rows; "
                f"every tensor of "
                "a batch needs one row per stratum (pad sequences to one length)"
            )
        odd = stratum_B[(stratum_B < -1) | (stratum_B >= self.num_strata)]
        if odd.numel():
            raise UserError(
                f"stratum_of returned stratum {int(odd[0])}; with num_strata={self.num_strata} it may return "
                f"0..{self.num_strata - 1}, and -1 for a row that is not trained on"
            )
        return stratum_B

    def _counts(self, step: list[Any], strata: list[Tensor]) -> Tensor:
        """Examples per stratum of a step, int64 [K] on the CPU."""
        each = [torch.ones_like(s) for s in strata] if self.examples_of is None else [self.examples_of(batch) for batch in step]
        return self._by_stratum(each, strata, torch.int64)

    def _weights(self, step: list[Any], strata: list[Tensor]) -> tuple[Tensor | None, Tensor | None]:
        """Sums of their weights, and of the squares where a row is an example, float64 [K] on the CPU."""
        if self.weights_of is None:
            return None, None
        weights = [self.weights_of(batch).double() for batch in step]
        squares = None if self.examples_of is not None else [weight_B**2 for weight_B in weights]
        weights_K = self._by_stratum(weights, strata, torch.float64)
        return weights_K, None if squares is None else self._by_stratum(squares, strata, torch.float64)

    def _by_stratum(self, values: list[Tensor], strata: list[Tensor], dtype: torch.dtype) -> Tensor:
        """Values of the rows of a step, added up by stratum."""
        value_B, stratum_B = (torch.cat([part.cpu() for part in parts]) for parts in (values, strata))
        kept = stratum_B >= 0
        return torch.zeros(self.num_strata, dtype=dtype).index_add(0, stratum_B[kept], value_B[kept].to(dtype))

    def _of_this_process(self) -> Iterable[Any]:
        """The wrapped loader, with this process's share of the rows."""
        world = current_world()
        if self._shared_out is None or self._shared_out[0] != world:
            self._shared_out = world, self._share_out(world)
        return self._shared_out[1]

    def _share_out(self, world: World) -> Iterable[Any]:
        loader = self.loader
        if world.size == 1 or not self.distributed_sampler or not isinstance(loader, DataLoader):
            return loader
        if isinstance(loader.dataset, IterableDataset) or isinstance(loader.sampler, DistributedSampler):
            return loader
        if type(loader) is not DataLoader or loader.batch_size is None or not _is_plain(loader):
            raise UserError(
                f"{world.size} processes would all draw the same rows: StratifiedLoader can share out a plain DataLoader alone; "
                "give it a DistributedSampler, or set distributed_sampler=False where each process is given its own rows"
            )
        return _with_distributed_sampler(loader, world)


def _is_plain(loader: DataLoader[Any]) -> bool:
    return type(loader.sampler) in (SequentialSampler, RandomSampler)


def _with_distributed_sampler(loader: DataLoader[Any], world: World) -> DataLoader[Any]:
    """The same loader over 1/W of the rows; if W does not divide them, the last rows are drawn twice."""
    sampler: DistributedSampler[Any] = DistributedSampler(
        loader.dataset,
        num_replicas=world.size,
        rank=world.rank,
        shuffle=isinstance(loader.sampler, RandomSampler),
        seed=int(os.environ.get("PL_GLOBAL_SEED", "0")),
        drop_last=loader.drop_last,
    )
    return DataLoader(loader.dataset, sampler=sampler, **{name: getattr(loader, name) for name in _KEPT})
