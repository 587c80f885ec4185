"""Backbones: each turns a batch of sequences into item scores. One file per backbone, one row each; see `protocol`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import nn

from ltrec.core.extension.registry import Registry, Variant
from ltrec.models.backbones.din import DIN, DINConfig
from ltrec.models.backbones.gru4rec import GRU4Rec, GRU4RecConfig
from ltrec.models.backbones.protocol import Adapt, CandidateScorer, Encoder, Scorer, Trunk
from ltrec.models.backbones.sasrec import SASRec, SASRecConfig

BackboneConfig = SASRecConfig | GRU4RecConfig | DINConfig


def never(options: Any) -> bool:  # noqa: ARG001
    """A model that does not."""
    return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Backbone(Variant[nn.Module]):
    """A row of `BACKBONES`; `build` returns a `Scorer`.

    Attributes:
        has_states: whether it is an `Encoder`, with a state at every position; else it is a `CandidateScorer`.
        reads_times: options -> whether the model asks for the time of every event (`batch.events["time"]`).
    """

    offers: ClassVar[tuple[str, ...]] = ("num_items", "max_len", "inputs")
    needs: tuple[str, ...] = ("num_items", "max_len")
    has_states: bool = True
    reads_times: Callable[[Any], bool] = never


BACKBONES: Registry[Backbone] = Registry("model.name", Backbone)
WITH_INPUTS = ("num_items", "max_len", "inputs")
BACKBONES.register(
    "sasrec", config=SASRecConfig, build=SASRec, needs=WITH_INPUTS, reads_times=lambda options: bool(options.time_bias)
)
BACKBONES.register("gru4rec", config=GRU4RecConfig, build=GRU4Rec, needs=WITH_INPUTS)
BACKBONES.register("din", config=DINConfig, build=DIN, needs=WITH_INPUTS, has_states=False)

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
