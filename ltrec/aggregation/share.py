"""One line of arithmetic that all linear rules with shares of their own have in common."""

from __future__ import annotations

from torch import Tensor


def share_out(mass: Tensor, shares_K: Tensor, counts_K: Tensor) -> Tensor:
    """Divide `mass` among the strata that are there, in proportion to `shares_K`; float64 [K].

    An empty stratum gets 0; so do all when no present stratum has a share (nothing is learned from this step).

    Args:
        mass: total weight, a scalar: the sum of the empty policy's weights.
        shares_K: not negative, any scale.
        counts_K: examples per stratum in the step.
    """
    present_K = shares_K.where(counts_K > 0, 0.0)
    total = present_K.sum()
    return mass * present_K / total if total > 0 else present_K
