"""What a module returns to whatever computes gradients: one loss and one stratum per example, never reduced."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from ltrec.core.sumcount import SumCount

SubBatchKey = int | tuple[int, int] | None
"""Which part of a micro-batch is run alone: a stratum, a task (trajectory, inner step), or None for the whole."""


class ExampleLosses(NamedTuple):
    """One loss and one stratum per example, both [N]. A tuple, so that wrappers of modules find the tensors in it."""

    loss_N: Tensor
    stratum_N: Tensor


def summed_losses(total: SumCount | None, example: ExampleLosses, num_strata: int) -> SumCount:
    """Add a micro-batch's losses, detached and in float64, to those of its step so far; None = nothing so far."""
    part = SumCount.of(example.loss_N.detach().double(), example.stratum_N, num_strata)
    return part if total is None else total + part
