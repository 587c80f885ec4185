"""A variant's config as keyword arguments: what stands between the names of a config and the signatures of the library."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

NOT_ITS_OWN = ("name", "switch")
"""Fields that choose a variant, or that the training loop reads, and its builder does not take."""


def options_of(variant: Any) -> dict[str, Any]:
    """Every other field of a variant's config."""
    return {f.name: getattr(variant, f.name) for f in fields(variant) if f.name not in NOT_ITS_OWN}
