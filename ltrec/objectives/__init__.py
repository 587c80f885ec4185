"""Losses per example. None of them reduces: averaging, per stratum and over all ranks, is done by the caller.

softmax          exact, over the whole catalogue
sampled_softmax  over sampled items, corrected towards the exact one
in_batch         over the other targets of the global micro-batch; examples depend on each other
gbce             binary, calibrated (gSASRec)
bce              binary, the SASRec paper's; a weak baseline
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from ltrec.core.extension.deferred import names_of
from ltrec.core.extension.registry import Registry, Variant
from ltrec.objectives.config import BCEConfig, GBCEConfig, InBatchConfig, SampledSoftmaxConfig, SoftmaxConfig

if TYPE_CHECKING:
    from ltrec.objectives.draw import CandidateObjective, Draw, Gather, Objective

ObjectiveConfig = SoftmaxConfig | SampledSoftmaxConfig | InBatchConfig | GBCEConfig | BCEConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss(Variant["Objective"]):
    """A row of `OBJECTIVES`; `build` returns an `Objective`.

    Attributes:
        needs_states: it needs a state per position; else it is a `CandidateObjective`, which takes scores of candidates.
        cross_entropy: the loss is -log p of the true item, among all items or some.
        couples_rows: a row's loss depends on the other rows of its micro-batch.
    """

    offers: ClassVar[tuple[str, ...]] = ("train_count", "gather", "among")
    needs_states: bool = True
    cross_entropy: bool = False
    couples_rows: bool = False


OBJECTIVES: Registry[Loss] = Registry("objective.name", Loss)
OBJECTIVES.register(
    "softmax", config=SoftmaxConfig, build="ltrec.objectives.softmax:FullSoftmax", needs=("among",), cross_entropy=True
)
OBJECTIVES.register(
    "sampled_softmax",
    config=SampledSoftmaxConfig,
    build="ltrec.objectives.sampled:SampledSoftmax",
    needs=("train_count", "among"),
    needs_states=False,
    cross_entropy=True,
)
OBJECTIVES.register(
    "in_batch",
    config=InBatchConfig,
    build="ltrec.objectives.in_batch:InBatchSoftmax",
    needs=("train_count", "gather"),
    cross_entropy=True,
    couples_rows=True,
)
OBJECTIVES.register(
    "gbce", config=GBCEConfig, build="ltrec.objectives.binary:GBCE", needs=("train_count", "among"), needs_states=False
)
OBJECTIVES.register(
    "bce", config=BCEConfig, build="ltrec.objectives.binary:BCE", needs=("train_count", "among"), needs_states=False
)

if not TYPE_CHECKING:
    __getattr__ = names_of(__name__, dict.fromkeys(["CandidateObjective", "Draw", "Gather", "Objective"], "ltrec.objectives.draw"))

__all__ = [
    "OBJECTIVES",
    "BCEConfig",
    "CandidateObjective",
    "Draw",
    "GBCEConfig",
    "Gather",
    "InBatchConfig",
    "Loss",
    "Objective",
    "ObjectiveConfig",
    "SampledSoftmaxConfig",
    "SoftmaxConfig",
]
