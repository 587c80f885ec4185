"""Backbones: each turns a batch of sequences into item scores. One file per backbone, one visible table; see `protocol`."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from ltrec.models.backbones.din import DIN, DINConfig
from ltrec.models.backbones.gru4rec import GRU4Rec, GRU4RecConfig
from ltrec.models.backbones.protocol import Adapt, CandidateScorer, Encoder, Scorer, Trunk
from ltrec.models.backbones.sasrec import SASRec, SASRecConfig

BackboneConfig = SASRecConfig | GRU4RecConfig | DINConfig

BACKBONES: dict[str, Callable[..., nn.Module]] = {"sasrec": SASRec, "gru4rec": GRU4Rec, "din": DIN}
"""name -> class, called with num_items, max_len and the fields of its config but `name`."""

BACKBONE_CONFIGS: dict[str, type[BackboneConfig]] = {"sasrec": SASRecConfig, "gru4rec": GRU4RecConfig, "din": DINConfig}
"""name -> config dataclass."""

__all__ = [
    "BACKBONES",
    "BACKBONE_CONFIGS",
    "DIN",
    "Adapt",
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
