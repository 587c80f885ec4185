"""How something that is not finite on one rank becomes visible on all of them, without a collective of its own.

Ranks decide alike when they decide on numbers that were summed over all ranks. A rank that holds an infinity or a NaN where no sum
would show it (a plugin's gradient, a loss) adds `nan_unless_finite` of it to a number that is about to be summed:

    0 * x = 0 where x is finite        0 * inf = NaN        0 * NaN = NaN        NaN + anything = NaN

so the number stays what it was, or is NaN on every rank. This is the only place that relies on it.
"""

from __future__ import annotations

from torch import Tensor


def nan_unless_finite(value: Tensor) -> Tensor:
    """0 where `value` is finite, else NaN; the same shape."""
    return 0 * value
