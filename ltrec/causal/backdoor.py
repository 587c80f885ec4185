"""The backdoor adjustment of a gradient for user activity, and its default estimator.

Activity z of a user points both ways: to the batch D (active users fill it) and to the gradient G (their taste differs), so it
confounds the two. A batch shows P(G|D) = sum_z P(G|D, z) P(z|D); with N_z of the step's N examples in stratum z its expectation
is the ordinary gradient, whose weights N_z / N are the head's:

    E[G|D] = sum_z (N_z / N) G_z,      G_z = (1/N_z) grad S_z,    S_z = sum of the losses of the stratum's examples

z blocks every backdoor path from D to G, hence intervening on D leaves P(z) at its value in the population:

    E[G|do(D)] = sum_z P(z) G_z = grad sum_i c_z(i) l_i,      c_z = P(z) / N_z

Consequences that tests hold: P(z) = N_z / N is the ordinary gradient; one stratum is the ordinary gradient; the right-hand side
is inverse propensity weighting (IPW) by stratum and takes one backward pass; N_z must be counted over the *whole* step, all
ranks and micro-batches, for a mean of per-rank means is another quantity. G_z is a mean over target positions, while P(z) may be a
share of users (prior.py): within a stratum long users weigh more.

PIN (arXiv 2208.09130) argues by this adjustment; the derivation is ours. Its public release computes (1/K) sum_z G_z, a uniform
prior, and departs from that in three ways that look unintended: gradients are not zeroed between groups (`cumulative_weights`), an
absent group keeps its share (`drop` in empty.py), and with several processes nothing is reduced over them.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ltrec.causal.empty import EMPTY_POLICIES
from ltrec.causal.positivity import check_positivity


@dataclass(frozen=True, slots=True, eq=False)
class Hajek:
    """P(G|do(D)) with the step's own counts: counts_K -> weights w_K of the mean gradients G_K.

    g = sum_z w_z G_z, every mean over the realised N_z: a ratio of two sums that are both random, in survey sampling the
    estimator of Hájek (1971). Its scale never depends on how many examples happened to come; in exchange it has a bias that
    vanishes with N_z, and needs a policy for N_z = 0.

    Attributes:
        prior_K: P(z), float64 [K].
        presence_K: probability that a step holds each stratum, float64 [K]; only `inverse_presence` looks at it.
        empty: name of the policy in `EMPTY_POLICIES`.

    Raises:
        UserError: the policy relies on strata that come at least now and then, and one with a share is never drawn.
    """

    prior_K: Tensor
    presence_K: Tensor
    empty: str = "renormalize"

    def __post_init__(self) -> None:
        if self.empty in ("inverse_presence", "error"):
            check_positivity(self.prior_K, self.presence_K, f"`empty`={self.empty}")

    def __call__(self, counts_K: Tensor) -> Tensor:
        """Weights float64 [K], 0 for an empty stratum.

        Args:
            counts_K: N_z, examples per stratum in the step, over all micro-batches and ranks, on the CPU.

        Raises:
            UserError: a stratum is missing and the policy is `error`.
        """
        return EMPTY_POLICIES[self.empty](self.prior_K, counts_K, self.presence_K)


def cumulative_weights(prior_K: Tensor) -> Tensor:
    """Ablation: the weights that PIN's release really gives, normalised to sum 1; all 0 when the prior is.

    There the gradients are not zeroed between groups, so that row z of the gradient memory holds G_0 + ... + G_z. Weighing row z by
    P(z) weighs G_j by

        sum over z >= j of P(z)          (K - j) / K for the release's uniform P: 1, .8, .6, .4, .2 with five groups

    which is no adjustment for any population and depends on how the strata are numbered: least active first, it raises the tail.
    Their sum exceeds 1 ((K + 1) / 2 for uniform P), a scale that Adam hides and that is divided out here. The release skips an
    absent group, whose row stays 0: a `prior_K` with 0 in its place (as `drop` gives) describes that.
    """
    tails_K = prior_K.flip(0).cumsum(0).flip(0)
    total = tails_K.sum()
    return tails_K / total if total > 0 else tails_K
