"""How unequally amounts are spread."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def gini(amount_V: npt.NDArray[np.integer]) -> float:
    """Gini coefficient of non-negative amounts; NaN if all are zero.

    With sorted amounts and i = 1..V it is  sum_i (2 i - V - 1) x_i / (V sum_i x_i):  the mean absolute difference of two
    amounts over twice their mean.
    """
    total = float(amount_V.sum())
    if not total:
        return float("nan")
    ascending, size = np.sort(amount_V).astype(np.float64), len(amount_V)
    return float((2 * np.arange(1, size + 1) - size - 1) @ ascending) / (size * total)
