"""Positivity: sum_z P(G|D, z) P(z) is only defined if every stratum with P(z) > 0 can occur."""

from __future__ import annotations

import torch
from torch import Tensor

from ltrec.core.errors import UserError


def check_positivity(prior_K: Tensor, drawn_K: Tensor, asked_by: str) -> None:
    """Refuse a prior on strata that no step can hold: those without trainable users, or with a quota of 0.

    Args:
        prior_K: P(z) [K].
        drawn_K: how much of each stratum a step holds on average, or how often it holds any [K]; 0 = never.
        asked_by: the setting that cannot do without, for the message.

    Raises:
        UserError: naming the strata.
    """
    never = torch.nonzero((prior_K > 0) & (drawn_K <= 0)).flatten().tolist()
    if never:
        raise UserError(
            f"{asked_by}: the prior gives stratum {', '.join(map(str, never))} a share, but training never draws it; use "
            "`estimator`=hajek with `empty`=renormalize, or the prior explicit with a share of 0 there"
        )
