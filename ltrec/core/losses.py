"""What a module returns to the code that computes gradients: one loss and one stratum per example, never reduced."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ltrec.core.sumcount import SumCount

SubBatchKey = int | tuple[int, int] | None
"""Which part of a micro-batch is run alone: a stratum, a task (trajectory, inner step), or None for the whole."""


class ExampleLosses(NamedTuple):
    """One loss and one stratum per example, both [N]. A tuple, so that wrappers of modules find the tensors in it.

    Where examples have weights, each loss is multiplied by its weight already, and the weights are what sums are divided by.
    """

    loss_N: Tensor
    stratum_N: Tensor
    weight_N: Tensor | None = None

    @staticmethod
    def concatenate(parts: Sequence[ExampleLosses]) -> ExampleLosses:
        """The examples of all parts; either all have weights or none."""
        loss_N, stratum_N, weights = zip(*parts, strict=True)
        return ExampleLosses(torch.cat(loss_N), torch.cat(stratum_N), None if weights[0] is None else torch.cat(weights))

    def detach(self) -> ExampleLosses:
        """The same values, detached from the graph."""
        return self._replace(loss_N=self.loss_N.detach())

    def mean(self) -> Tensor:
        """The examples' mean, by weight where they have weights; there is at least one."""
        return self.loss_N.mean() if self.weight_N is None else self.loss_N.sum() / self.weight_N.sum()


def summed_losses(total: SumCount | None, example: ExampleLosses, num_strata: int) -> SumCount:
    """Add a micro-batch's losses, detached and in float64, to those of its step so far; None = nothing so far."""
    part = SumCount.of(example.loss_N.detach().double(), example.stratum_N, num_strata, example.weight_N)
    return part if total is None else total + part
