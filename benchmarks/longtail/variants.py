"""What is ranked from trained runs: variants of a scorer that need no training of their own.

raw       the weights as the optimiser left them, at the step of the best checkpoint (which was chosen for its averaged weights)
ema       the averaged weights: the method as it is trained and validated
two       the mean of two seeds' softmaxes, each of averaged weights
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ltrec.config.tree import RunConfig
from ltrec.data.stream.histories import HistoryChunk, Score
from ltrec.launch.build import Data
from ltrec.launch.evaluating import load_score
from ltrec.launch.processes import detect
from ltrec.launch.run_folder import folder_of


@dataclass(frozen=True, slots=True)
class Trunk:
    """A trained run, opened.

    Attributes:
        config: its config.
        data: what it was trained on.
        checkpoint: its best one.
    """

    config: RunConfig
    data: Data
    checkpoint: Path

    def score(self, weights: str | None = None) -> Score:
        """The scorer, with averaged weights or with the `raw` ones of the optimiser."""
        return load_score(self.config, self.data, self.checkpoint, detect(), weights=weights)


def open_trunk(config: RunConfig, data: Data) -> Trunk:
    """The best checkpoint of the run that `config` trained.

    Raises:
        UserError: there is none.
    """
    return Trunk(config, data, folder_of(config).checkpoint("best"))


def once(score: Score) -> Score:
    """A score that is computed once for each chunk, however many variants ask for it in turn; each is given a copy."""
    kept: list[tuple[int, Tensor]] = []

    def remembered(chunk: HistoryChunk) -> Tensor:
        if not kept or kept[0][0] != chunk.index:
            kept[:] = [(chunk.index, score(chunk))]
        return kept[0][1].clone()

    return remembered


def mean_softmax(one: Score, two: Score) -> Score:
    """The mean of two softmaxes over the items."""

    def score(chunk: HistoryChunk) -> Tensor:
        return sum_of(one(chunk)) + sum_of(two(chunk))

    def sum_of(scores_BV: Tensor) -> Tensor:
        scores_BV[:, 0] = -torch.inf
        return torch.softmax(scores_BV, dim=1) / 2

    return score


OF_ONE: dict[str, Callable[[Trunk], Score]] = {
    "raw": lambda trunk: trunk.score("raw"),
    "ema": lambda trunk: trunk.score(),
}
"""Variants of a single run."""

OF_TWO: dict[str, Callable[[Trunk, Trunk], Score]] = {
    "two": lambda one, two: mean_softmax(one.score(), two.score()),
}
"""Variants of a run and the one with the next seed."""
