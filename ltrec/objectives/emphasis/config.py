"""Options of each emphasis."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from ltrec.core.bounds import Between, check_fields


@dataclass(frozen=True, slots=True)
class PlainConfig:
    """Losses as they are."""

    name: str = "none"
    """Key in EMPHASES."""


@dataclass(frozen=True, slots=True)
class FocalConfig:
    """Less weight for what is already right."""

    name: str = "focal"
    """Key in EMPHASES."""
    gamma: Annotated[float, Between(0, 1000)] = 2.0
    """Exponent; 0 = plain cross-entropy."""

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True, slots=True)
class CVaRConfig:
    """Only the worst losses."""

    name: str = "cvar"
    """Key in EMPHASES."""
    alpha: Annotated[float, Between(0, 1, above=True)] = 0.5
    """Share of the examples (targets, or users with stream.unit=user) that counts, in (0, 1]; 1 = the plain mean. Of each
    micro-batch over all processes, so that trainer.accumulate makes a difference."""

    def __post_init__(self) -> None:
        check_fields(self)
