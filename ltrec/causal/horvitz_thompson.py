"""The Horvitz-Thompson estimator: sums over *expected* counts.

What the adjustment P(G|do(D)) = sum_z P(G|D, z) P(z) needs of stratum z is its mean gradient in the training data, over all of its
M_z examples. The stream draws every user of a stratum equally often, so a step's *sum* S_z expects a fixed multiple of the total
over the data, and its count N_z the same multiple of M_z:

    E[grad S_z] / E[N_z] = (1 / M_z) sum over the stratum's examples of grad l_i

    g = sum_z c_z grad S_z,    c_z = P(z) / E[N_z]

Hence g has the adjusted gradient as its expectation *exactly* (Horvitz and Thompson 1952: each draw over its inclusion rate),
whatever comes together in a step. Against the means over realised counts (backdoor.py):

    + unbiased; an absent stratum adds 0 and is made up for by steps that hold more of it, so there is no policy to choose;
    + c_z is known before training: no collective for counts, and exactly additive over micro-batches and ranks;
    - the step's scale follows the counts, so rare strata bring noise: the variance of N_z / E[N_z] enters.

The order of the stream makes it stronger still: over whole passes every user is drawn equally often, so the average over the
steps is exact and not only expected. PIN's release has no such estimator.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ltrec.causal.positivity import check_positivity


@dataclass(frozen=True, slots=True, eq=False)
class HorvitzThompson:
    """P(G|do(D)) with expected counts: counts_K -> weights of the mean gradients, as the other estimator has them.

    Attributes:
        prior_K: P(z), float64 [K].
        expected_K: E[N_z], examples of each stratum in an average step, float64 [K] (the stream's `expected_targets_K`).

    Raises:
        UserError: a stratum with a share is never drawn, so nothing can stand for it (positivity).
    """

    prior_K: Tensor
    expected_K: Tensor

    def __post_init__(self) -> None:
        check_positivity(self.prior_K, self.expected_K, "`estimator`=horvitz_thompson")

    @property
    def coefficients_K(self) -> Tensor:
        """c_z = P(z) / E[N_z], what the loss of each example counts; the same in every step. Float64 [K]."""
        return torch.where(self.prior_K > 0, self.prior_K / self.expected_K, 0.0)

    def __call__(self, counts_K: Tensor) -> Tensor:
        """Weights w_z = c_z N_z, so that w_z G_z = c_z grad S_z: float64 [K], 0 for an empty stratum. They sum to 1 on average.

        Args:
            counts_K: N_z of the step, over all micro-batches and ranks, on the CPU.
        """
        return self.coefficients_K * counts_K
