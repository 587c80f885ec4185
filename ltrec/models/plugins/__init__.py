"""Plugins: what is added to a trained trunk in the second stage. One file per kind, one row each.

    none         the trunk alone
    bottleneck   PIN: a residual bottleneck per stratum at each of the backbone's places
    copies       fine-tuning by group: a whole copy of the trunk per stratum
    melt         MELT's user branch: one linear map from the states of short histories to those of long ones

A kind wraps a trunk and is a backbone itself (`WithPlugins`): inactive, the identity, until `wake` is called at the switch of
stages.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, runtime_checkable

from torch import Tensor, nn

from ltrec.core.batch import SequenceBatch
from ltrec.core.extension.registry import Registry, Variant
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
    """A trunk with plugins. Also an Encoder or a CandidateScorer where it can be: check the wrapper, not the trunk."""

    if TYPE_CHECKING:  # from Python 3.12 on isinstance does not see a module's submodules and parameters
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
    """A backbone made of several, each row going through one of them."""

    def parts(self, batch: SequenceBatch) -> list[tuple[nn.Module, Tensor]]:
        """The backbones that a batch needs, each with the numbers of its rows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plugin(Variant[nn.Module]):
    """A row of `PLUGINS`; `build` takes the trunk and returns it with plugins.

    Attributes:
        by_stratum: it has a network per stratum that only users of that stratum train.
        needs_states: it works on the states of an `Encoder`.
        whole_models: every stratum has a model of its own, so that rows of a batch have no parameter in common.
        writes_weights: waking changes parameters in place.
        skips_strata: a process runs only the parts whose strata its rows have.
    """

    offers: ClassVar[tuple[str, ...]] = ("strata", "num_strata", "seed", "max_len")
    by_stratum: bool = False
    needs_states: bool = False
    whole_models: bool = False
    writes_weights: bool = False
    skips_strata: bool = True


PLUGINS: Registry[Plugin] = Registry("plugin.name", Plugin)
PLUGINS.register("none", config=NoPluginConfig, build=lambda trunk: trunk, skips_strata=False)
PLUGINS.register("bottleneck", config=BottleneckConfig, build=plug, needs=("num_strata",), by_stratum=True)
PLUGINS.register(
    "copies", config=CopiesConfig, build=Copies, needs=("num_strata",), by_stratum=True, whole_models=True, writes_weights=True
)
PLUGINS.register("melt", config=MeltConfig, build=Melt, needs=("strata", "seed", "max_len"), needs_states=True)

__all__ = [
    "PLUGINS",
    "BottleneckConfig",
    "Copies",
    "CopiesConfig",
    "Melt",
    "MeltConfig",
    "NoPluginConfig",
    "Plugin",
    "PluginConfig",
    "RoutedByRow",
    "WithPlugins",
    "plug",
]
