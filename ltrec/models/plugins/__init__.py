"""Plugins: what is added to a trained trunk in the second stage. One file per kind, one visible table.

    none         the trunk alone
    bottleneck   PIN: a residual bottleneck per stratum at each of the backbone's places
    copies       fine-tuning by group: a whole copy of the trunk per stratum
    melt         MELT's user branch: one linear map from the states of short histories to those of long ones

A kind wraps a trunk and is a backbone itself (`WithPlugins`): it sleeps, passing everything through, until `wake` is called at the
switch of stages.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from torch import Tensor, nn

from ltrec.core.batch import SequenceBatch
from ltrec.core.strata import Strata
from ltrec.models.backbones.protocol import Scorer
from ltrec.models.plugins.bottleneck import BottleneckConfig, plug
from ltrec.models.plugins.copies import Copies, CopiesConfig
from ltrec.models.plugins.melt import Melt, MeltConfig


@dataclass(frozen=True, slots=True)
class NoPluginConfig:
    """The trunk alone."""

    name: str = "none"
    """Key in PLUGINS."""


PluginConfig = NoPluginConfig | BottleneckConfig | CopiesConfig | MeltConfig


@runtime_checkable
class WithPlugins(Scorer, Protocol):
    """A trunk with plugins. Also an Encoder or a CandidateScorer, if it can be one: ask it, not the trunk."""

    trunk: Any

    @property
    def awake(self) -> bool:
        """Whether plugins take part. Kept in the state dict, so that a checkpoint scores as it was trained."""

    def wake(self, step: int) -> None:
        """Begin the second stage with this step. Called once, on every rank; may read the trunk's weights, never a generator."""

    def plugin_of(self, name: str) -> int | None:
        """The stratum that owns the parameter of that name (relative to this module); None for parameters that all strata train."""

    def extra_losses(self, batch: SequenceBatch, states_TD: Tensor | None) -> Tensor | None:
        """What the plugins add to the loss of every position [T], given the states if there are any; None when nothing."""


@runtime_checkable
class RoutedByRow(Protocol):
    """A backbone that is several: every row belongs to one of them."""

    def parts(self, batch: SequenceBatch) -> list[tuple[nn.Module, Tensor]]:
        """The backbones that a batch needs, each with the numbers of its rows."""


def _with(make: Callable[..., nn.Module], *needs: str) -> Callable[..., nn.Module]:
    """Hand `make` its options and, of what every kind is offered, the parts it needs."""

    def build(trunk: nn.Module, *, strata: Strata, seed: int, max_len: int, **options: Any) -> nn.Module:
        offered = {"strata": strata, "num_strata": strata.count, "seed": seed, "max_len": max_len}
        return make(trunk, **options, **{name: offered[name] for name in needs})

    return build


PLUGINS: dict[str, Callable[..., nn.Module]] = {
    "bottleneck": _with(plug, "num_strata"),
    "copies": _with(Copies, "num_strata"),
    "melt": _with(Melt, "strata", "seed", "max_len"),
}
"""name -> builder, called with the trunk, strata, seed, max_len and the fields of its config but `name`. `none` leaves the trunk as
it is."""

OF_STRATA = ("bottleneck", "copies")
"""Kinds with a network per stratum that nobody but its own users trains. MELT's one map is learned on the head for the tail."""

PLUGIN_CONFIGS: dict[str, type[PluginConfig]] = {
    "none": NoPluginConfig,
    "bottleneck": BottleneckConfig,
    "copies": CopiesConfig,
    "melt": MeltConfig,
}
"""name -> config dataclass."""

__all__ = [
    "OF_STRATA",
    "PLUGINS",
    "PLUGIN_CONFIGS",
    "BottleneckConfig",
    "Copies",
    "CopiesConfig",
    "Melt",
    "MeltConfig",
    "NoPluginConfig",
    "PluginConfig",
    "RoutedByRow",
    "WithPlugins",
    "plug",
]
