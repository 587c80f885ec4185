"""Options of the memory that is added to a network (`plugin.name=memory`)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from ltrec.core.bounds import SHARE, Between, check_fields
from ltrec.data.neighbours.config import ContentConfig, NeighboursConfig
from ltrec.models.memory_forms import Form
from ltrec.models.plugins import NoPluginConfig, PluginConfig

GRIDS = {"mix": tuple(tenth / 10 for tenth in range(10)), "log": (0.0, 0.25, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0)}
"""Weights that are tried by default. 0 is one of them: a memory that does not help is switched off."""

UNCHOSEN = {"mix": 0.3, "log": 1.0}
"""Weight if no user has a validation target to choose it by; of given weights, the nearest one."""

SHRINKAGE = 5000.0


@dataclass(frozen=True, slots=True)
class MemoryConfig:
    """A memory of which items follow which. It is added to the network's scores after training, which it does not change."""

    name: str = "memory"
    """The variant."""
    form: Form = "mix"
    """mix: (1 - w) softmax(scores) + w q, with w the memory's share of the probability; log: log softmax(scores) + w log(q +
    1e-4)."""
    weights: tuple[Annotated[float, Between(0, 100)], ...] = ()
    """Weights w to choose from, by NDCG@10 on the validation split; a single one is used as it is. Empty = 0 to 0.9 for mix, 0 to 4
    for log."""
    per_stratum: bool = False
    """Choose a weight for every stratum of histories, shrunk towards the common one (`shrinkage`)."""
    shrinkage: Annotated[float, Between(0, 1e12)] = SHRINKAGE
    """With per_stratum: number of users with the overall mean that are added to a stratum's own."""
    decay: Annotated[float, SHARE] = 0.85
    """Factor on an item's neighbours per step back in the history."""
    last: Annotated[int, Between(1, 10_000)] = 50
    """Number of last items of a history that are looked up."""
    counting: NeighboursConfig = field(default_factory=NeighboursConfig)
    """How neighbours are counted."""
    content: ContentConfig = field(default_factory=ContentConfig)
    """Which items are alike by their columns, beside which follow which: m = counts + share * similarity."""
    content_shares: tuple[Annotated[float, Between(0, 1000)], ...] = (0.0, 0.1)
    """Shares to choose from, with the weight, on the validation split, where there are columns to compare: the smallest one within
    a standard error of the best."""
    trained: PluginConfig = field(default_factory=NoPluginConfig)
    """The trained plugin that the memory is added to, chosen by `plugin.trained.name`; its options are `plugin.trained.*`."""

    def __post_init__(self) -> None:
        check_fields(self)
        for name, values in (("weights", self.weights), ("content_shares", self.content_shares)):
            if list(values) != sorted(set(values)):
                raise ValueError(f"{name} must be ascending; got {list(values)}")
        if not self.content_shares:
            raise ValueError("content_shares is empty; content_shares=[0] leaves columns out")
        if self.form == "mix" and self.weights and not self.weights[-1] < 1:
            raise ValueError(f"weights must be below 1 with form=mix, whose w is a share; got {self.weights[-1]:g}")
        if self.per_stratum and len(self.weights) == 1:
            raise ValueError(
                f"per_stratum=true has nothing to choose from weights={list(self.weights)}; give more, or leave it out"
            )
        if not self.per_stratum and self.shrinkage != SHRINKAGE:
            raise ValueError(
                f"shrinkage={self.shrinkage:g} has no effect with per_stratum=false; leave it out, or set per_stratum=true"
            )

    @property
    def grid(self) -> tuple[float, ...]:
        """The weights that are tried, ascending."""
        return self.weights or GRIDS[self.form]

    @property
    def fallback(self) -> float:
        """The weight if there is nothing to choose it by."""
        return min(self.grid, key=lambda weight: (abs(weight - UNCHOSEN[self.form]), weight))
