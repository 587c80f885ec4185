"""Empty strata: what becomes of P(z) when the batch of an optimiser step holds no example of stratum z.

The adjustment sum_z P(z) P(G|D, z) needs P(G|D, z) for every z with P(z) > 0 ("positivity"). It holds in the population, yet a
finite step may lack a rare stratum, and then there is no mean gradient to weigh. With G_z taken as fixed and pi_z the
probability that a step holds stratum z (presence.py), the policies estimate sum_z P(z) G_z like this:

    renormalize        w_z = P(z) / sum of P over the present   always sums to 1; biased towards the common strata
    drop               w_z = P(z)                               loses the absent ones' share; biased by -sum_z P(z) (1 - pi_z) G_z
    inverse_presence   w_z = P(z) / pi_z                        unbiased; rare strata count more when they come, so noisier
    error              w_z = P(z), all must be there            for streams with a quota for every stratum

w_z = 0 for an absent stratum under all of them. PIN's release does `drop`: an absent group leaves a row of zeros and the sum is
still divided by K.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ltrec.core.errors import UserError

EmptyPolicy = Callable[[Tensor, Tensor, Tensor], Tensor]
"""(prior_K, counts_K, presence_K) -> weights_K; float64 [K] on the CPU but for the counts, which may be integers."""


def renormalize(prior_K: Tensor, counts_K: Tensor, _presence_K: Tensor) -> Tensor:
    """The prior given that one of the present strata is meant; all 0 when none of them has a share."""
    kept_K = _of_present(prior_K, counts_K)
    total = kept_K.sum()
    return kept_K / total if total > 0 else kept_K


def drop(prior_K: Tensor, counts_K: Tensor, _presence_K: Tensor) -> Tensor:
    """The prior where there are examples; the rest of the mass is lost for this step."""
    return _of_present(prior_K, counts_K)


def inverse_presence(prior_K: Tensor, counts_K: Tensor, presence_K: Tensor) -> Tensor:
    """The prior over the probability of being there: what a stratum misses in other steps it gets in this one."""
    assert (presence_K[counts_K > 0] > 0).all(), f"present strata {counts_K} that were never expected {presence_K}"
    return _of_present(prior_K / presence_K, counts_K)


def error(prior_K: Tensor, counts_K: Tensor, _presence_K: Tensor) -> Tensor:
    """The prior itself.

    Raises:
        UserError: a stratum with a share has no example. Counts are global, hence every rank raises in the same step.
    """
    missing = torch.nonzero((counts_K == 0) & (prior_K > 0)).flatten().tolist()
    if missing:
        raise UserError(
            f"no example of stratum {', '.join(map(str, missing))} in an optimiser step, and `empty` is 'error'; set "
            "`composition`=quota, raise `batch_rows`, or choose another `empty`"
        )
    return _of_present(prior_K, counts_K)


def _of_present(weights_K: Tensor, counts_K: Tensor) -> Tensor:
    """By selection: an infinite weight of an absent stratum must not become NaN."""
    return torch.where(counts_K > 0, weights_K, 0.0)


EMPTY_POLICIES: dict[str, EmptyPolicy] = {
    "renormalize": renormalize,
    "drop": drop,
    "inverse_presence": inverse_presence,
    "error": error,
}
"""name -> policy."""
