"""Curves of logged training metrics, and their means: over seeds, over spans of steps, over the first and last tenth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

SMOOTH_POINTS = 60
"""A curve with more points than this is averaged over equal spans, because single steps are noisy."""


@dataclass(frozen=True, slots=True)
class Curve:
    """Logged values of one key, in the order of steps; arrays of equal length.

    For several seeds, `y` is their mean, and `low` and `high` are the minimum and maximum.
    """

    x: Floats
    y: Floats
    low: Floats | None = None
    high: Floats | None = None


def averaged(curve: Curve, points: int = SMOOTH_POINTS) -> Curve:
    """Means over at most `points` spans of equal length; shorter curves are returned as they are."""
    if len(curve.x) <= points:
        return curve
    ends = (None if end is None else _spans(end, points) for end in (curve.low, curve.high))
    return Curve(_spans(curve.x, points), _spans(curve.y, points), *ends)


def mean_curve(curves: Sequence[Curve]) -> Curve:
    """Mean, minimum and maximum of several curves, at every x of any of them, over the curves that have it."""
    values: dict[float, list[float]] = {}
    for curve in curves:
        for x, y in zip(curve.x.tolist(), curve.y.tolist(), strict=True):
            values.setdefault(x, []).append(y)
    places = sorted(values)
    mean, low, high = (np.array([pick(values[x]) for x in places], dtype=np.float64) for pick in (np.mean, np.min, np.max))
    return Curve(np.array(places, dtype=np.float64), mean, low, high)


def mean_of(curve: Curve) -> float:
    """Mean of a curve's points."""
    return float(curve.y.mean())


def sum_of(curve: Curve) -> float:
    """Sum of a curve's points."""
    return float(curve.y.sum())


def first_tenth(curve: Curve) -> float:
    """Mean of the first tenth of a curve's points, but at least one."""
    return float(curve.y[: max(1, len(curve.y) // 10)].mean())


def last_tenth(curve: Curve) -> float:
    """Mean of the last tenth of a curve's points, but at least one."""
    return float(curve.y[-max(1, len(curve.y) // 10) :].mean())


def _spans(values: Floats, points: int) -> Floats:
    return np.array([span.mean() for span in np.array_split(values, points)])
