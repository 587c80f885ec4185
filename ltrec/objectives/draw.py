"""The Objective protocols, and the keys of their random draws."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from torch import Tensor

from ltrec.objectives.item_table import ItemTable

Gather = Callable[[Tensor], Tensor]
"""Ids of this rank [N] -> ids of all ranks, concatenated by rank."""

ScoreCandidates = Callable[[Tensor], Tensor]
"""Items int64 [N, M], candidates of every example -> their scores [N, M]."""


@dataclass(frozen=True, slots=True)
class Draw:
    """Keys of a step's negatives: the same draws on any rank, in any batch layout, before and after a resume.

    Attributes:
        seed: the run's seed.
        step: optimiser step.
        key_N: int64 [N], a number that identifies each example (user and position), whatever batch it is in; empty for objectives
            that do not draw.
    """

    seed: int
    step: int
    key_N: Tensor


@runtime_checkable
class Objective(Protocol):
    """A loss per example.

    `coupled` says that an example's loss depends on the other examples of the batch, so that a sub-batch has another loss.
    `draws` says that it needs the keys of its examples.
    """

    coupled: bool
    draws: bool

    def __call__(self, states_ND: Tensor, targets_N: Tensor, table: ItemTable, draw: Draw) -> Tensor:
        """Loss of every example [N], float32 (float64 for float64 states), never reduced.

        Args:
            states_ND: states of N examples.
            targets_N: int64, the item 1..V that came next; never 0.
            table: item vectors [V+1, D], or what computes them (`item_table`); row 0, padding, is not a candidate
                and gets no gradient.
            draw: coordinates of random draws.
        """


@runtime_checkable
class CandidateObjective(Objective, Protocol):
    """An Objective that needs only the scores of a target and of its negatives, no states."""

    def of_candidates(self, score: ScoreCandidates, targets_N: Tensor, draw: Draw) -> Tensor:
        """Loss of every example [N], as if the scores came from states; the same draws. `score` is called once."""


@runtime_checkable
class FewItemsObjective(Objective, Protocol):
    """An Objective that reads the vectors of few items: targets, and items that it can name in advance. A step then needs no other
    rows of the item table, forward or backward."""

    def read_items(self, targets_N: Tensor, draw: Draw) -> Tensor:
        """The items that `__call__` will draw and read besides the targets; int64, any shape, with or without repeats."""

    def log_unread_V(self, num_targets: int) -> Tensor:
        """Logarithm of the probability that the draws of so many targets leave out an item, for items 0..V, float64 [V+1]."""
