"""Backbones: each turns a batch of sequences into item scores. One file per backbone, one row each; see `protocol`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from ltrec.core.extension.deferred import names_of
from ltrec.core.extension.registry import Registry, Variant
from ltrec.models.backbones.config import DINConfig, GRU4RecConfig, SASRecConfig

if TYPE_CHECKING:
    from torch import nn  # noqa: F401  in a string below

    from ltrec.models.backbones.din import DIN
    from ltrec.models.backbones.gru4rec import GRU4Rec
    from ltrec.models.backbones.protocol import Adapt, CandidateScorer, Encoder, Scorer, Trunk
    from ltrec.models.backbones.sasrec import SASRec

BackboneConfig = SASRecConfig | GRU4RecConfig | DINConfig


def never(options: Any) -> bool:  # noqa: ARG001
    """A model that does not."""
    return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Backbone(Variant["nn.Module"]):
    """A row of `BACKBONES`; `build` returns a `Scorer`.

    Attributes:
        has_states: whether it is an `Encoder`, with a state at every position; else it is a `CandidateScorer`.
        reads_times: options -> whether the model uses the time of every event (`batch.events["time"]`).
    """

    offers: ClassVar[tuple[str, ...]] = ("num_items", "max_len", "inputs")
    needs: tuple[str, ...] = ("num_items", "max_len")
    has_states: bool = True
    reads_times: Callable[[Any], bool] = never


BACKBONES: Registry[Backbone] = Registry("model.name", Backbone)
WITH_INPUTS = ("num_items", "max_len", "inputs")
BACKBONES.register(
    "sasrec",
    config=SASRecConfig,
    build="ltrec.models.backbones.sasrec:SASRec",
    needs=WITH_INPUTS,
    reads_times=lambda options: bool(options.time_bias),
)
BACKBONES.register("gru4rec", config=GRU4RecConfig, build="ltrec.models.backbones.gru4rec:GRU4Rec", needs=WITH_INPUTS)
BACKBONES.register("din", config=DINConfig, build="ltrec.models.backbones.din:DIN", needs=WITH_INPUTS, has_states=False)

if not TYPE_CHECKING:
    __getattr__ = names_of(
        __name__,
        {
            "DIN": "ltrec.models.backbones.din",
            "GRU4Rec": "ltrec.models.backbones.gru4rec",
            "SASRec": "ltrec.models.backbones.sasrec",
            **dict.fromkeys(["Adapt", "CandidateScorer", "Encoder", "Scorer", "Trunk"], "ltrec.models.backbones.protocol"),
        },
    )

__all__ = [
    "BACKBONES",
    "DIN",
    "Adapt",
    "Backbone",
    "BackboneConfig",
    "CandidateScorer",
    "DINConfig",
    "Encoder",
    "GRU4Rec",
    "GRU4RecConfig",
    "SASRec",
    "SASRecConfig",
    "Scorer",
    "Trunk",
]
