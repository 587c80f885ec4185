"""What is ranked from trained runs: variants of a scorer that need no training of their own.

    raw       the weights as the optimiser left them, at the step of the best checkpoint (which was chosen for its averaged weights)
    ema       the averaged weights: the method as it is trained and validated
    mix, log  a memory of which items follow which beside ema, in the forms of `ltrec.models.memory`
    strata    mix, its weight chosen for every stratum, drawn towards the common one
    ridge     mix, the memory's weights from a regression instead of counts (`ltrec.data.neighbours.regression`)
    tail      mix where the history is of a tail stratum, the network alone where it is of a head one
    permuted  mix with neighbours of another item: a control that should choose a small weight and gain nothing
    two       the mean of two seeds' softmaxes, each of averaged weights
    two-mix   two with a memory beside them

Every weight is chosen by the product's own code, by NDCG@10 on validation, from the product's grid, which holds 0.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from math import log
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ltrec.config.tree import RunConfig
from ltrec.data.neighbours.config import NeighboursConfig
from ltrec.data.neighbours.count import count_neighbours
from ltrec.data.neighbours.table import Neighbours
from ltrec.data.stream.reading.histories import HistoryChunk, Score
from ltrec.evaluation.memory.config import MemoryConfig
from ltrec.evaluation.memory.weighing import WeightChoice
from ltrec.run.build.components import Data
from ltrec.run.checkpoint.find_checkpoint import find_checkpoint
from ltrec.run.folder.config_file import folder_of
from ltrec.run.process.detect import detect
from ltrec.run.scoring.memory import choose_weights, neighbours_of
from ltrec.run.scoring.scorer import load_network, make_memory, score_with

MIX, LOG, STRATA = MemoryConfig(form="mix"), MemoryConfig(form="log"), MemoryConfig(form="mix", per_stratum=True)
RIDGE = MemoryConfig(form="mix", counting=NeighboursConfig(ridge=100, neighbours=50))


@dataclass(frozen=True, slots=True)
class Variant:
    """A scorer, and what was chosen for it on validation, in JSON values."""

    score: Score
    chosen: dict[str, Any]


@dataclass(frozen=True)
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

    @cached_property
    def ema(self) -> Score:
        """The network with averaged weights, which scores every chunk once."""
        return once(load_network(self.config, self.data, self.checkpoint, detect()))

    @property
    def raw(self) -> Score:
        """The network with the optimiser's own weights."""
        return load_network(self.config, self.data, self.checkpoint, detect(), weights="raw")

    @cached_property
    def mix(self) -> WeightChoice:
        """The weight of the mix."""
        return self.choose(self.ema, MIX, self.neighbours)

    @cached_property
    def neighbours(self) -> Neighbours:
        """Which items follow which."""
        return neighbours_of(folder_of(self.config), MIX, self.data)

    @cached_property
    def regressed(self) -> Neighbours:
        """Which items follow which, by a regression."""
        return count_neighbours(self.data.folder, self.data.manifest, RIDGE.counting)

    def beside(self, network: Score, settings: MemoryConfig, neighbours: Neighbours | None = None) -> Variant:
        """A network with a memory whose weight is chosen on validation."""
        known = neighbours or self.neighbours
        return self.weighed(network, settings, known, self.choose(network, settings, known))

    def choose(self, network: Score, settings: MemoryConfig, neighbours: Neighbours) -> WeightChoice:
        """The weight of a memory beside a network."""
        memory = make_memory(settings, neighbours, filter_seen=self.config.evaluation.filter_seen)
        return choose_weights(self.config, settings, self.data, memory, network)

    def weighed(self, network: Score, settings: MemoryConfig, neighbours: Neighbours, choice: WeightChoice) -> Variant:
        """A network with a memory of a weight that was chosen."""
        seen = self.config.evaluation.filter_seen
        return Variant(score_with(settings, network, neighbours, choice.weights, filter_seen=seen), _told(choice))

    def beside_tail(self) -> Variant:
        """The mix for histories of tail strata alone, with the weight that is chosen for everybody."""
        strata, curve = self.data.manifest.strata, self.mix.all
        of_strata = tuple(replace(curve, weight=curve.weight * (z < strata.first_head)) for z in range(strata.count))
        return self.weighed(self.ema, MIX, self.neighbours, replace(self.mix, strata=of_strata))

    def with_other(self, other: Trunk) -> Score:
        """The mean of two softmaxes, as a score."""
        return once(mean_softmax(self.ema, other.ema))


def open_trunk(config: RunConfig, data: Data) -> Trunk:
    """The best checkpoint of the run that `config` trained.

    Raises:
        UserError: there is none.
    """
    return Trunk(config, data, find_checkpoint(folder_of(config), "best"))


def _told(choice: WeightChoice) -> dict[str, Any]:
    """A choice in JSON values: weights, and what validation said of every one that was tried."""
    values = [round(value, 5) for value in choice.all.ndcg]
    return {"weights": list(choice.weights), "grid": list(choice.grid), "ndcg@10": values}


def once(score: Score) -> Score:
    """A score that is computed once for each chunk, however many variants ask for it in turn; each is given a copy."""
    kept: list[tuple[HistoryChunk, Tensor]] = []

    def remembered(chunk: HistoryChunk) -> Tensor:
        if not kept or not _same_histories(kept[0][0], chunk):
            kept[:] = [(chunk, score(chunk))]
        return kept[0][1].clone()

    return remembered


def _same_histories(one: HistoryChunk, two: HistoryChunk) -> bool:
    """Whether two chunks are of the same users with the same histories; of another split they are not."""
    return one.user_id == two.user_id and torch.equal(one.seen_offsets, two.seen_offsets) and torch.equal(one.seen_T, two.seen_T)


def mean_softmax(one: Score, two: Score) -> Score:
    """The logarithm of the mean of two softmaxes over the items."""

    def score(chunk: HistoryChunk) -> Tensor:
        parts = []
        for network in (one, two):
            scores_BV = network(chunk)
            scores_BV[:, 0] = -torch.inf
            parts.append(torch.log_softmax(scores_BV, dim=1))
        return torch.logaddexp(*parts) - log(2)

    return score


def permuted(neighbours: Neighbours, seed: int = 0) -> Neighbours:
    """Every item with the neighbours of another one: as many links as before, and as strong, but of no meaning.

    Args:
        neighbours: the true ones.
        seed: of the permutation.
    """
    order = torch.randperm(neighbours.num_items, generator=torch.Generator().manual_seed(seed)) + 1
    order_V = torch.cat([torch.zeros(1, dtype=torch.int64), order])
    made_of = {**neighbours.made_of, "permuted": seed}
    return Neighbours(neighbours.item_VN[order_V], neighbours.weight_VN[order_V], made_of)


OF_ONE: dict[str, Callable[[Trunk], Variant]] = {
    "raw": lambda trunk: Variant(trunk.raw, {}),
    "ema": lambda trunk: Variant(trunk.ema, {}),
    "mix": lambda trunk: trunk.weighed(trunk.ema, MIX, trunk.neighbours, trunk.mix),
    "log": lambda trunk: trunk.beside(trunk.ema, LOG),
    "strata": lambda trunk: trunk.beside(trunk.ema, STRATA),
    "ridge": lambda trunk: trunk.beside(trunk.ema, RIDGE, trunk.regressed),
    "tail": lambda trunk: trunk.beside_tail(),
    "permuted": lambda trunk: trunk.beside(trunk.ema, MIX, permuted(trunk.neighbours)),
}
"""Variants of a single run."""

OF_TWO: dict[str, Callable[[Trunk, Trunk], Variant]] = {
    "two": lambda one, two: Variant(one.with_other(two), {}),
    "two-mix": lambda one, two: one.beside(one.with_other(two), MIX),
}
"""Variants of a run and the one with the next seed."""
