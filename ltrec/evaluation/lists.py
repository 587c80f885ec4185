"""Metrics of the recommended lists as a whole: how much of the catalogue they cover, how unevenly, and how popular the items are.

Accuracy can increase while all users get the same few items; these metrics show it. They are computed over the first k
recommendations of all users of a group and are not means over users: coverage grows with the size of the group, so compare it
between scorers on the same group, not between groups.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ltrec.core.inequality import gini
from ltrec.evaluation.catalogue import ItemCatalogue


def list_metrics(
    items: npt.NDArray[np.integer],
    lengths_N: npt.NDArray[np.integer],
    keep_N: npt.NDArray[np.bool_],
    *,
    cutoffs: Sequence[int],
    catalogue: ItemCatalogue,
    shares: Sequence[float],
) -> dict[str, float]:
    """Metrics of the lists of the users kept.

    Args:
        items: recommendations of all users, concatenated, best first within a user.
        lengths_N: recommendations per user.
        keep_N: the users of the group.
        cutoffs: list lengths k.
        catalogue: popularity of the items.
        shares: cuts of the popularity classes; items beyond the last cut are tail items.

    Returns:
        Per k: ``coverage@k`` share of the catalogue that is recommended to any user; ``gini@k`` inequality of how often items are
        recommended (0 = all equally often, 1 = a single item); ``popularity@k`` mean training count of the recommendations;
        ``tail_share@k`` share of recommendations that are tail items. NaN without recommendations.
    """
    place = np.arange(len(items)) - np.repeat(np.cumsum(lengths_N) - lengths_N, lengths_N)
    kept = np.repeat(keep_N, lengths_N)
    tail_below = catalogue.tail_below(shares)
    values: dict[str, float] = {}
    for k in cutoffs:
        times_V = np.bincount(items[kept & (place < k)], minlength=catalogue.num_items + 1)[1:]
        total = int(times_V.sum())
        count_V = catalogue.count_of(np.arange(1, catalogue.num_items + 1))
        values[f"coverage@{k}"] = int(np.count_nonzero(times_V)) / catalogue.num_items if total else np.nan
        values[f"gini@{k}"] = gini(times_V)
        values[f"popularity@{k}"] = float(times_V @ count_V) / total if total else np.nan
        values[f"tail_share@{k}"] = float(times_V[count_V < tail_below].sum()) / total if total else np.nan
    return values
