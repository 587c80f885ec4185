"""Rules divide one update among the mean gradients G_z of the strata. There are three kinds, by the inputs that they need.

    linear      sum_z w_z G_z, where w depends on the counts (and, for some, on earlier losses): one backward pass is enough
    gram        sum_z w_z G_z, where w depends on the inner products A_yz = <G_y, G_z> over the trunk
    coordinate  any function of the rows G_z that treats every coordinate alone, so that partitions of rows may be combined apart

All numbers that decide are float64 on the CPU. `counts_K` are the examples of the step over all ranks; a stratum without
any has an undefined gradient, a row of zeros in its place, and weight 0.

Every rule is offered the empty policy bound to the prior: counts -> P(z) for this step, 0 for an empty stratum. The policy sets
the total weight (1 under `renormalize`); the rule distributes it. So `drop` shrinks the step of *any* rule when a
stratum is missing, and `error` stops any rule.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, Protocol

from torch import Tensor

from ltrec.core.sumcount import SumCount

State = dict[str, Tensor | int | float]
"""State of a rule in a checkpoint; loads with `weights_only`."""

Policy = Callable[[Tensor], Tensor]
"""counts_K -> P(z) for this step, float64 [K], 0 for an empty stratum."""


class LinearRule(Protocol):
    """Weights from counts and from the losses of *earlier* steps.

    Attributes:
        kind: "linear".
        watches_losses: whether `observe` does anything.
        equivariant: relabelling the strata (prior, counts and state with them) relabels the weights and changes nothing else.
        smooth: weights never jump.
    """

    kind: Literal["linear"]
    watches_losses: bool
    equivariant: bool
    smooth: bool

    def weights(self, counts_K: Tensor) -> Tensor:
        """Weights float64 [K], 0 for an empty stratum. They are due before the backward pass, hence know nothing of this step's
        losses: one pass suffices, also when its gradients are accumulated over micro-batches."""
        ...

    def observe(self, losses: SumCount) -> None:
        """Take note of a finished step: global sums and counts of losses, all finite, the same on every rank."""
        ...

    def state_dict(self) -> State:
        """State that a resumed run needs."""
        ...

    def load_state_dict(self, state: State) -> None:
        """Go on from `state_dict`."""
        ...


class GramRule(Protocol):
    """Weights from the strata's inner products.

    Attributes:
        kind: "gram".
        fallbacks: steps whose weights were the policy's because the method had no usable answer.
        equivariant: relabelling the strata relabels the weights and changes nothing else but rounding.
        smooth: weights are continuous in a positive definite Gram matrix.
    """

    kind: Literal["gram"]
    fallbacks: int
    equivariant: bool
    smooth: bool

    def weights(self, gram_KK: Tensor, counts_K: Tensor, key: int) -> Tensor:
        """Weights float64 [K], 0 for an empty stratum. Equal inputs give equal weights on every rank, except for a solver's last
        digit: take one rank's answer.

        Args:
            gram_KK: <G_y, G_z> over the trunk, float64, finite; rows of empty strata are ignored.
            counts_K: examples per stratum in the step.
            key: 64 unsigned bits, a function of the run's seed and the step: all the randomness there is.
        """
        ...

    def state_dict(self) -> State:
        """State that a resumed run needs."""
        ...

    def load_state_dict(self, state: State) -> None:
        """Go on from `state_dict`."""
        ...


class CoordinateRule(Protocol):
    """The combined gradient itself, coordinate by coordinate.

    Attributes:
        kind: "coordinate".
        equivariant: relabelling the strata changes nothing but rounding.
        smooth: the update is continuous in the rows.
    """

    kind: Literal["coordinate"]
    equivariant: bool
    smooth: bool

    def combine(self, rows_KN: Tensor, counts_K: Tensor) -> Tensor:
        """The update [N] of any partition of the mean gradients [K, N], in the rows' type and on their device."""
        ...

    def state_dict(self) -> State:
        """State that a resumed run needs."""
        ...

    def load_state_dict(self, state: State) -> None:
        """Go on from `state_dict`."""
        ...


Rule = LinearRule | GramRule | CoordinateRule
