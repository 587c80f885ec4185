"""The smallest rule of every kind: smooth and equivariant, so that the engine's rounding is all that can differ."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from ltrec.core.sumcount import SumCount


def renormalised(prior_K: Tensor, counts_K: Tensor) -> Tensor:
    """The prior on the strata that are there, summing to 1."""
    present_K = torch.where(counts_K > 0, prior_K, 0.0)
    return present_K / present_K.sum().clamp(min=torch.finfo(torch.float64).tiny)


class ToyLinear:
    """Weights that depend on the counts alone."""

    kind: ClassVar[str] = "linear"
    watches_losses = False
    equivariant = smooth = True

    def __init__(self, prior_K: Tensor) -> None:
        self.prior_K = prior_K

    def weights(self, counts_K: Tensor) -> Tensor:
        return renormalised(self.prior_K, counts_K)

    def observe(self, losses: SumCount) -> None:
        raise AssertionError("this rule watches no losses")

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        assert state == {}


class ToyWatching(ToyLinear):
    """Strata with a larger loss get more weight from the next step on (exponentiated gradient)."""

    watches_losses = True

    def __init__(self, prior_K: Tensor) -> None:
        super().__init__(prior_K)
        self.log_K = prior_K.log()
        self.seen: list[SumCount] = []

    def weights(self, counts_K: Tensor) -> Tensor:
        return renormalised(self.log_K.softmax(0), counts_K)

    def observe(self, losses: SumCount) -> None:
        self.seen.append(losses)
        self.log_K = self.log_K + 0.1 * torch.where(losses.count_K > 0, losses.sum_K / losses.count_K.clamp(min=1), 0.0)

    def state_dict(self) -> dict[str, Any]:
        return {"log_K": self.log_K.clone()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.log_K = state["log_K"].clone()


class ToyGram:
    """Strata that agree with the prior's mean gradient get more weight."""

    kind: ClassVar[str] = "gram"
    equivariant = smooth = True

    def __init__(self, prior_K: Tensor) -> None:
        self.prior_K = prior_K
        self.keys: list[int] = []

    def weights(self, gram_KK: Tensor, counts_K: Tensor, key: int) -> Tensor:
        self.keys.append(key)
        agreement_K = gram_KK @ self.prior_K / (1 + gram_KK.diagonal().sum())
        return renormalised(self.prior_K * agreement_K.exp(), counts_K)

    def state_dict(self) -> dict[str, Any]:
        return {"keys": len(self.keys)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.keys = [0] * state["keys"]


class ToyCoordinate:
    """Every coordinate saturates by itself: no K weights can say this."""

    kind: ClassVar[str] = "coordinate"
    equivariant = smooth = True

    def __init__(self, prior_K: Tensor) -> None:
        self.prior_K = prior_K

    def combine(self, rows_KN: Tensor, counts_K: Tensor) -> Tensor:
        weights_K = renormalised(self.prior_K, counts_K).to(rows_KN.dtype)
        return weights_K @ torch.tanh(rows_KN)

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        assert state == {}
