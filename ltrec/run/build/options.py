"""A variant's config as keyword arguments of its build function."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

NOT_PASSED = ("name", "switch")
"""Fields that choose a variant or are read by the training loop, and are not passed to its build function."""


def options_of(variant: Any) -> dict[str, Any]:
    """All other fields of a variant's config."""
    return {f.name: getattr(variant, f.name) for f in fields(variant) if f.name not in NOT_PASSED}
