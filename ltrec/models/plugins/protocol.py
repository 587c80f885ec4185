"""The interface of a trunk with plugins, in addition to that of a backbone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from torch import Tensor, nn

from ltrec.core.batch import SequenceBatch
from ltrec.models.backbones.protocol import Scorer


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
    """A backbone that consists of several, with each row routed to one of them."""

    def parts(self, batch: SequenceBatch) -> list[tuple[nn.Module, Tensor]]:
        """The backbones that a batch needs, each with the numbers of its rows."""
