"""From losses of targets to losses of examples: what an example is, what it weighs, and what has none.

An example is a target position, or (unit `user`) a visit to a user, whose loss is the mean over the row's targets. Positions
without a target have no loss, and rows without any target are not examples. An event's weight multiplies the loss of the target
that it is; within a user it decides what counts in the mean, and users count one each.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ltrec.core.batch import SequenceBatch
from ltrec.core.losses import ExampleLosses
from ltrec.core.sumcount import or_one


def examples_of(batch: SequenceBatch, loss_N: Tensor, unit: str) -> ExampleLosses:
    """The examples of a batch.

    Args:
        batch: with targets.
        loss_N: the loss of every target, not multiplied by its weight.
        unit: what an example is, `target` or `user`.
    """
    if unit == "user":
        mean_R, rows_R = user_means(batch, loss_N)
        return ExampleLosses(mean_R, batch.stratum_B if rows_R is None else batch.stratum_B[rows_R])
    stratum_N = batch.of_targets(batch.stratum_of_position())
    if batch.weight_T is None:
        return ExampleLosses(loss_N, stratum_N)
    weight_N = batch.of_targets(batch.weight_T).to(loss_N.dtype)
    return ExampleLosses(loss_N * weight_N, stratum_N, weight_N)


def user_means(batch: SequenceBatch, values_N: Tensor) -> tuple[Tensor, Tensor | None]:
    """The mean of each row over its targets, by their weights, and the numbers of the rows that have one; None: every row.

    Args:
        batch: with targets.
        values_N: a value of every target.
    """
    if batch.weight_T is None and not batch.has_gaps:
        return batch.mean_of_rows(values_N), None
    row_N = batch.of_targets(batch.row_of_position())
    weight_N = torch.ones_like(values_N) if batch.weight_T is None else batch.of_targets(batch.weight_T).to(values_N.dtype)
    nothing_B = values_N.new_zeros(batch.num_rows)
    total_B, mass_B = nothing_B.index_add(0, row_N, values_N * weight_N), nothing_B.index_add(0, row_N, weight_N)
    rows_R = mass_B.nonzero()[:, 0]
    return (total_B / or_one(mass_B))[rows_R], rows_R
