"""Losses per example. None of them reduces: what is averaged over what is decided further up, per stratum and over all ranks.

softmax          exact, over the whole catalogue
sampled_softmax  over sampled items, corrected towards the exact one
in_batch         over the other targets of the global micro-batch; examples depend on each other
gbce             binary, calibrated (gSASRec)
bce              binary, the SASRec paper's; a weak baseline
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from ltrec.objectives.binary import BCE, GBCE, BCEConfig, GBCEConfig
from ltrec.objectives.draw import CandidateObjective, Draw, Gather, Objective
from ltrec.objectives.in_batch import InBatchConfig, InBatchSoftmax
from ltrec.objectives.sampled import SampledSoftmax, SampledSoftmaxConfig
from ltrec.objectives.softmax import FullSoftmax, SoftmaxConfig

ObjectiveConfig = SoftmaxConfig | SampledSoftmaxConfig | InBatchConfig | GBCEConfig | BCEConfig


def _with(make: Callable[..., Objective], *needs: str) -> Callable[..., Objective]:
    """Hand `make` its options and, of what every objective is offered, the parts it needs."""

    def build(*, train_count: Tensor, gather: Gather, **options: Any) -> Objective:
        offered = {"train_count": train_count, "gather": gather}
        return make(**options, **{name: offered[name] for name in needs})

    return build


OBJECTIVES: dict[str, Callable[..., Objective]] = {
    "softmax": _with(FullSoftmax),
    "sampled_softmax": _with(SampledSoftmax, "train_count"),
    "in_batch": _with(InBatchSoftmax, "train_count", "gather"),
    "gbce": _with(GBCE, "train_count"),
    "bce": _with(BCE, "train_count"),
}
"""name -> builder, called with train_count, gather and the fields of its config but `name`."""

STATELESS = ("sampled_softmax", "gbce", "bce")
"""Those that are `CandidateObjective`s: they need no state per position, only scores of candidates."""

OBJECTIVE_CONFIGS: dict[str, type[ObjectiveConfig]] = {
    "softmax": SoftmaxConfig,
    "sampled_softmax": SampledSoftmaxConfig,
    "in_batch": InBatchConfig,
    "gbce": GBCEConfig,
    "bce": BCEConfig,
}
"""name -> config dataclass."""

__all__ = [
    "OBJECTIVES",
    "OBJECTIVE_CONFIGS",
    "STATELESS",
    "BCEConfig",
    "CandidateObjective",
    "Draw",
    "GBCEConfig",
    "Gather",
    "InBatchConfig",
    "Objective",
    "ObjectiveConfig",
    "SampledSoftmaxConfig",
    "SoftmaxConfig",
]
