"""Attention among the strata's gradients: two variants from the PIN authors' code, as functions of the Gram matrix.

Neither is known to be the paper's method. Theirs act on each listed *parameter tensor* by itself, with weights of its own; ours on
the whole trunk at once, with one weight per stratum, so that the update is sum_z w_z G_z in every mode. For a trunk of one tensor,
a uniform prior and no empty stratum the two agree.

A prior P enters as everywhere: the method sees rows P(z) G_z and its weights are multiplied by P(z). Here n P(z) stands for P(z) in
the rows, which is 1 for a uniform prior, because the temperature of `dot_attention` has a unit.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ltrec.aggregation.gram import OnPresent
from ltrec.aggregation.rule import Policy


def dot_attention(empty: Policy, *, tau: float) -> OnPresent:
    """w_k in proportion to P_k exp(s_k / tau), s_k = sum_j <g_k, g_j> over the rows g_k = n P_k G_k."""

    def solve(gram: Tensor, prior: Tensor, _key: int) -> Tensor:
        rows = len(prior) * prior
        return prior * (torch.outer(rows, rows) * gram / tau).sum(1).softmax(0)

    return OnPresent(solve, empty)


def soft_attention(empty: Policy) -> OnPresent:
    """w_k in proportion to P_k exp(s_k) on S = {k: <G_k, sum_j P_j G_j> > 0}, s_k = sum over j in S of cos(G_k, G_j).

    S is empty only when the backdoor gradient itself is 0. A stratum enters or leaves it in a jump.
    """

    def solve(gram: Tensor, prior: Tensor, _key: int) -> Tensor:
        agrees = gram @ prior > 0
        norm = gram.diagonal().sqrt()
        cosine = (gram / torch.outer(norm, norm)).where(agrees, 0.0)
        return prior * torch.where(agrees, cosine.sum(1).exp(), 0.0)

    return OnPresent(solve, empty, smooth=False)
