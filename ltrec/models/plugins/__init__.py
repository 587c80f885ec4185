"""Plugins: what is added to a trained trunk for each stratum of users. One file per kind, one visible table.

    none         the trunk alone
    bottleneck   PIN: a residual bottleneck per stratum at each of the backbone's places

A kind wraps a trunk and is a backbone itself (`Plugged`): it sleeps, passing everything through, until `wake` is called at the
switch of stages.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from torch import Tensor, nn

from ltrec.core.batch import SequenceBatch
from ltrec.models.backbones.protocol import Scorer
from ltrec.models.plugins.bottleneck import Bottleneck, BottleneckConfig


@dataclass(frozen=True, slots=True)
class NoPluginConfig:
    """The trunk alone."""

    name: str = "none"
    """Key in PLUGINS."""


PluginConfig = NoPluginConfig | BottleneckConfig


@runtime_checkable
class Plugged(Scorer, Protocol):
    """A trunk with plugins. An Encoder or CandidateScorer when its trunk is one."""

    trunk: nn.Module

    @property
    def awake(self) -> bool:
        """Whether plugins take part. Kept in the state dict, so that a checkpoint scores as it was trained."""

    def wake(self) -> None:
        """Begin the second stage. Called once, on every rank; may read the trunk's weights, never a generator."""

    def plugin_of(self, name: str) -> int | None:
        """The stratum that owns the parameter of that name (relative to this module); None for parameters that all strata train."""

    def extra_losses(self, batch: SequenceBatch, states_TD: Tensor) -> Tensor | None:
        """What the plugins add to the loss of every position [T]; None when nothing."""


PLUGINS: dict[str, Callable[..., nn.Module]] = {"bottleneck": Bottleneck}
"""name -> class, called with trunk, num_strata and the fields of its config but `name`. `none` leaves the trunk as it is."""

PLUGIN_CONFIGS: dict[str, type[PluginConfig]] = {"none": NoPluginConfig, "bottleneck": BottleneckConfig}
"""name -> config dataclass."""

__all__ = ["PLUGINS", "PLUGIN_CONFIGS", "Bottleneck", "BottleneckConfig", "NoPluginConfig", "Plugged", "PluginConfig"]
