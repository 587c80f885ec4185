"""The engine's view of a micro-batch, and a minimal batch: rows of any kind, each with a stratum.

`ltrec.core.batch.SequenceBatch` is the other kind, jagged sequences of items as ltrec's own loader makes them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise
from typing import Any, Protocol, Self, runtime_checkable

import torch
from torch import Tensor

from ltrec.core.rows.on_host import HostRows, to_device


@runtime_checkable
class MicroBatch(Protocol):
    """One of the micro-batches that an optimiser step accumulates. B rows, K strata."""

    @property
    def stratum_B(self) -> Tensor:
        """The rows' strata, int64 [B]; -1 = none."""

    @property
    def slot_B(self) -> Tensor | None:
        """Where each row stood in the order that was drawn, int64 [B]; None: the rows stand in that order."""

    @property
    def step_counts_K(self) -> Tensor:
        """Examples per stratum that this process holds in all micro-batches of the step together, int64 [K], on the CPU."""

    @property
    def step_weights_K(self) -> Tensor | None:
        """Sums of the weights of those examples, float64 [K], on the CPU; None: every example weighs one. Batches may have
        `step_squares_K` beside it, the sums of their squares, which telemetry asks for."""

    @property
    def step(self) -> int:
        """The optimiser step; -1 = the trainer knows."""

    @property
    def micro(self) -> int:
        """Number of the micro-batch within its step; -1 = the trainer knows."""

    @property
    def num_rows(self) -> int:
        """B."""

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to compute a loss of."""

    def select(self, rows: Tensor) -> Self:
        """The rows of these numbers, in that order."""

    def split(self, rows: Sequence[int]) -> Sequence[Self]:
        """Consecutive parts of so many rows each."""

    def at(self, step: int, micro: int) -> Self:
        """The same rows at another step and micro-batch."""


def known_rows(batch: MicroBatch) -> HostRows | None:
    """The rows on the CPU, if it is a kind of batch that keeps them there (`known`), so that no one waits for an accelerator."""
    return getattr(batch, "known", None)


def strata_on_host(batch: MicroBatch) -> Tensor:
    """The rows' strata on the CPU [B]."""
    known = known_rows(batch)
    return batch.stratum_B.cpu() if known is None else known.stratum_B


def slots_on_host(batch: MicroBatch) -> Tensor | None:
    """`slot_B` on the CPU."""
    known = known_rows(batch)
    if known is not None:
        return known.slot_B
    return None if batch.slot_B is None else batch.slot_B.cpu()


@dataclass(frozen=True, slots=True)
class StratifiedBatch:
    """Rows of any kind with a stratum each; `batch["name"]` reaches into `data`.

    Attributes:
        data: what the loader gave: a dictionary, tuple or list of tensors with B rows, nested as you like. Lists of B plain values
            are rows as well; tensors without dimensions and anything else belong to every row.
        stratum_B: int64 [B], 0..K-1, or -1 for a row that no stratum trains on.
        step_counts_K: int64 [K], on the CPU: examples per stratum of this process in the whole optimiser step.
        step: optimiser step; set by the strategy.
        micro: number of the micro-batch within its step.
        slot_B: int64 [B], where a row stood before rows were sorted; None: they are in that order.
        step_weights_K: float64 [K], on the CPU: sums of the weights of those examples; None: every example weighs one.
        step_squares_K: sums of their squares; None: not known, where a row has several examples.
        host_stratum_B: `stratum_B` on the CPU, if the loader had it there.
    """

    data: Any
    stratum_B: Tensor
    step_counts_K: Tensor
    step: int = -1
    micro: int = -1
    slot_B: Tensor | None = None
    step_weights_K: Tensor | None = None
    step_squares_K: Tensor | None = None
    host_stratum_B: Tensor | None = None

    def __getitem__(self, key: Any) -> Any:
        return self.data[key]

    @property
    def num_rows(self) -> int:
        """B."""
        return self.stratum_B.numel()

    @property
    def is_empty(self) -> bool:
        """Whether there is no row."""
        return not self.num_rows

    def select(self, rows: Tensor) -> StratifiedBatch:
        """The rows of these numbers, in that order."""
        there = to_device(rows, self.stratum_B.device)
        return self._take(lambda tensor: tensor[there], lambda values: [values[n] for n in rows.tolist()])

    @property
    def known(self) -> HostRows:
        """Strata and slots of the rows, as the host sees them; every row counts as one position."""
        stratum_B = self.stratum_B.cpu() if self.host_stratum_B is None else self.host_stratum_B
        return HostRows(torch.ones_like(stratum_B), stratum_B, None if self.slot_B is None else self.slot_B.cpu())

    def split(self, rows: Sequence[int]) -> list[StratifiedBatch]:
        """Consecutive parts of so many rows each; tensors share memory with this batch."""
        return [
            self._take(lambda tensor, a=a, b=b: tensor[a:b], lambda values, a=a, b=b: values[a:b])
            for a, b in pairwise(accumulate(rows, initial=0))
        ]

    def at(self, step: int, micro: int) -> StratifiedBatch:
        """The same rows at another step and micro-batch."""
        return replace(self, step=step, micro=micro)

    def to(self, device: torch.device | str, non_blocking: bool = False) -> StratifiedBatch:
        """A copy whose tensors are on the device, except for the step's counts and weights."""

        def moved(tensor: Tensor) -> Tensor:
            return tensor.to(device, non_blocking=non_blocking)

        slot_B = None if self.slot_B is None else moved(self.slot_B)
        return replace(self, data=_map(self.data, moved), stratum_B=moved(self.stratum_B), slot_B=slot_B)

    def _take(self, of_tensor: Callable[..., Tensor], of_list: Callable[..., Sequence[Any]]) -> StratifiedBatch:
        def taken(tensor: Tensor) -> Tensor:
            return of_tensor(tensor) if tensor.dim() else tensor

        slot_B = None if self.slot_B is None else of_tensor(self.slot_B)
        data = _map(self.data, taken, of_list, self.num_rows)
        return replace(self, data=data, stratum_B=of_tensor(self.stratum_B), slot_B=slot_B, host_stratum_B=None)


def rows_of(data: Any) -> set[int]:
    """Numbers of rows that the tensors in `data` have; one number where they agree."""
    found: set[int] = set()

    def noted(tensor: Tensor) -> Tensor:
        found.update(tensor.shape[:1])
        return tensor

    _map(data, noted)
    return found


def _map(data: Any, of_tensor: Callable[..., Tensor], of_list: Callable[..., Any] | None = None, rows: int = -1) -> Any:
    """`data` with every tensor changed, and every list of so many plain values."""
    if isinstance(data, Tensor):
        return of_tensor(data)
    if isinstance(data, Mapping):
        return {key: _map(value, of_tensor, of_list, rows) for key, value in data.items()}
    if not isinstance(data, (list, tuple)):
        return data
    if any(isinstance(value, (Tensor, Mapping, list, tuple)) for value in data):
        parts = [_map(value, of_tensor, of_list, rows) for value in data]
        return type(data)(*parts) if hasattr(data, "_fields") else type(data)(parts)
    return of_list(data) if of_list is not None and len(data) == rows else data
