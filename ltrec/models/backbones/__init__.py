"""Backbones: each turns a batch of sequences into item scores. One file per backbone, one visible table; see `protocol`."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from ltrec.models.backbones.protocol import Adapt, CandidateScorer, Encoder, Scorer, Trunk, encoder_of
from ltrec.models.backbones.sasrec import SASRec, SASRecConfig

BackboneConfig = SASRecConfig

BACKBONES: dict[str, Callable[..., nn.Module]] = {"sasrec": SASRec}
"""name -> class, called with num_items, max_len and the fields of its config but `name`."""

BACKBONE_CONFIGS: dict[str, type[BackboneConfig]] = {"sasrec": SASRecConfig}
"""name -> config dataclass."""

__all__ = [
    "BACKBONES",
    "BACKBONE_CONFIGS",
    "Adapt",
    "BackboneConfig",
    "CandidateScorer",
    "Encoder",
    "SASRec",
    "SASRecConfig",
    "Scorer",
    "Trunk",
    "encoder_of",
]
