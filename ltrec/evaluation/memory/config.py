"""What a user may say about the memory beside the network (`plugin.name=memory`)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from ltrec.core.bounds import SHARE, Between, check_fields
from ltrec.data.neighbours.config import ContentConfig, NeighboursConfig
from ltrec.models.memory import Form
from ltrec.models.plugins import NoPluginConfig, PluginConfig

GRIDS = {"mix": tuple(tenth / 10 for tenth in range(10)), "log": (0.0, 0.25, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0)}
"""Weights that are tried where none are named. 0 is among them: a memory that does not help is switched off."""

UNCHOSEN = {"mix": 0.3, "log": 1.0}
"""Weight where no user has a validation target to choose by; of weights that are named, the nearest to it."""

SHRINKAGE = 5000.0


@dataclass(frozen=True, slots=True)
class MemoryConfig:
    """A memory of which items follow which, beside the network. It adds to the scores after training and changes nothing in it."""

    name: str = "memory"
    """The variant."""
    form: Form = "mix"
    """mix: (1 - w) softmax(scores) + w q, the memory's share of the probability; log: log softmax(scores) + w log(q + 1e-4)."""
    weights: tuple[Annotated[float, Between(0, 100)], ...] = ()
    """Weights w to choose from, by NDCG@10 on the validation split; a single one is taken as it is. Empty: 0 to 0.9 for mix, 0 to 4
    for log."""
    per_stratum: bool = False
    """Choose a weight for every stratum of histories, drawn towards the common one (`shrinkage`)."""
    shrinkage: Annotated[float, Between(0, 1e12)] = SHRINKAGE
    """With per_stratum: so many users with everybody's mean are counted beside a stratum's own."""
    decay: Annotated[float, SHARE] = 0.85
    """What every step back in the history multiplies its item's neighbours with."""
    last: Annotated[int, Between(1, 10_000)] = 50
    """Items of a history that are looked up."""
    counting: NeighboursConfig = field(default_factory=NeighboursConfig)
    """How neighbours are counted."""
    content: ContentConfig = field(default_factory=ContentConfig)
    """Which items are alike by their columns, beside which follow which: m = counts + share * similarity."""
    content_shares: tuple[Annotated[float, Between(0, 1000)], ...] = (0.0, 0.1)
    """Shares to choose from, with the weight, on the validation split, where there are columns to compare."""
    trained: PluginConfig = field(default_factory=NoPluginConfig)
    """The trained plugin beneath the memory, chosen by `plugin.trained.name`; its options are `plugin.trained.*`."""

    def __post_init__(self) -> None:
        check_fields(self)
        for name, values in (("weights", self.weights), ("content_shares", self.content_shares)):
            if list(values) != sorted(set(values)):
                raise ValueError(f"{name} must rise; got {list(values)}")
        if not self.content_shares:
            raise ValueError("content_shares is empty; content_shares=[0] leaves columns out")
        if self.form == "mix" and self.weights and not self.weights[-1] < 1:
            raise ValueError(f"weights must be below 1 with form=mix, whose w is a share; got {self.weights[-1]:g}")
        if self.per_stratum and len(self.weights) == 1:
            raise ValueError(
                f"per_stratum=true has nothing to choose from weights={list(self.weights)}; name more, or leave it out"
            )
        if not self.per_stratum and self.shrinkage != SHRINKAGE:
            raise ValueError(f"shrinkage={self.shrinkage:g} has no effect with per_stratum=false; take it out, or per_stratum=true")

    @property
    def grid(self) -> tuple[float, ...]:
        """The weights that are tried, rising."""
        return self.weights or GRIDS[self.form]

    @property
    def unchosen(self) -> float:
        """The weight where there is nothing to choose by."""
        return min(self.grid, key=lambda weight: (abs(weight - UNCHOSEN[self.form]), weight))
