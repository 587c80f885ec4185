"""Are the steps of a device right: weights after a few of them, against float64 on the CPU."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from torch import Tensor

from .steps import WAYS, Size, Way, batches_of, fit, weights_of

TINY = Size(rows=24, max_len=8, items=60, width=8, strata=3)
EXACT = {"float64": ("64-true", 1e-8), "float32": ("32-true", 2e-3)}
"""Precision, and how far all weights may lie from their reference, relative to their length."""

CHECKS: dict[str, tuple[Size, str]] = {
    **{name: (TINY, name) for name in WAYS},
    "touched rows": (
        replace(TINY, objective="sampled_softmax", options={"negatives": 8, "scope": "shared"}, touched=True),
        "joint",
    ),
    "touched rows, segments": (
        replace(TINY, objective="sampled_softmax", options={"negatives": 8, "scope": "shared"}, touched=True),
        "per_stratum, segments",
    ),
    "gbce, segments": (replace(TINY, objective="gbce", options={"negatives": 8}), "per_stratum, segments"),
    "GRU4Rec": (replace(TINY, backbone="gru4rec"), "per_stratum"),
    "DIN": (replace(TINY, backbone="din", objective="sampled_softmax", options={"negatives": 8}), "per_stratum"),
}


def check(what: str, device: str, steps: int = 3) -> list[dict[str, Any]]:
    """One check in every precision: what, how far off, and whether that is right. The reference of `segments` is `split`.

    Args:
        what: of `CHECKS`.
        device: `cuda` or `cpu`.
        steps: to train.
    """
    size, way = CHECKS[what]
    exact, found = replace(size, dropout=0.0), []
    reference = _trained(exact, WAYS[way.removesuffix(", segments")], "cpu", "64-true", steps)
    for kind, (precision, limit) in EXACT.items():
        off = distance(_trained(exact, WAYS[way], device, precision, steps), reference)
        found.append({"what": f"{what} in {kind}", "off": off, "limit": limit, "right": off <= limit})
    return found


def _trained(size: Size, way: Way, device: str, precision: str, steps: int) -> dict[str, Tensor]:
    module = fit(size, way, batches_of(size, steps), [], device=device, precision=precision)
    return {name: weight.double() for name, weight in weights_of(module).items()}


def distance(mine: dict[str, Tensor], reference: dict[str, Tensor]) -> float:
    """Length of the difference of all weights, relative to that of the weights; infinite where one is not finite."""
    difference = sum(float((mine[name] - w).square().sum()) for name, w in reference.items()) ** 0.5
    length = sum(float(w.square().sum()) for w in reference.values()) ** 0.5
    return difference / length if difference == difference else float("inf")
