"""What a stage hands to whatever forms the gradient: one loss and one stratum per example, never reduced."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, slots=True)
class ExampleLosses:
    """One loss and one stratum per example, both [N]."""

    loss_N: Tensor
    stratum_N: Tensor
