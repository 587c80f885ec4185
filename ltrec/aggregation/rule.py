"""What a rule is: three kinds, told apart by what they must see.

linear       the counts (and, for DRO, earlier losses): any engine can run it in one backward pass
gram         the Gram matrix <G_y, G_z> of the strata's mean gradients: needs the gradients, but not to keep them
coordinate   every coordinate of every gradient: needs mode per_stratum
"""

from __future__ import annotations

from typing import Any, Literal, Protocol

from torch import Tensor

from ltrec.core.sumcount import SumCount


class LinearRule(Protocol):
    """Weights that do not depend on the step's gradients."""

    kind: Literal["linear"]
    equivariant: bool
    smooth: bool
    watches_losses: bool

    def weights(self, counts_K: Tensor) -> Tensor:
        """w_z, float64 [K]; 0 for an empty stratum."""

    def observe(self, losses: SumCount) -> None:
        """Take in a finished window's global losses; an absent stratum keeps its state."""

    def state_dict(self) -> dict[str, Any]:
        """What the next step depends on."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take it up again."""


class GramRule(Protocol):
    """Weights from the Gram matrix."""

    kind: Literal["gram"]
    equivariant: bool
    smooth: bool

    def weights(self, gram_KK: Tensor, counts_K: Tensor, key: int) -> Tensor:
        """w_z, float64 [K]; 0 for an empty stratum. `key` seeds what is random."""

    def state_dict(self) -> dict[str, Any]:
        """What the next step depends on."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take it up again."""


class CoordinateRule(Protocol):
    """The update itself, coordinate by coordinate, so that shards are combined alone."""

    kind: Literal["coordinate"]
    equivariant: bool
    smooth: bool

    def combine(self, rows_KN: Tensor, counts_K: Tensor) -> Tensor:
        """The combined gradient [N] of mean gradients [K, N]."""

    def state_dict(self) -> dict[str, Any]:
        """What the next step depends on."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take it up again."""
