"""Few events are sorted in memory: by one number of the user's place and the time, which numpy sorts in a fifth of the time that an
external sort and its file take."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Ints = npt.NDArray[np.int64]
_BITS = 63


def sorted_events(events: pa.Table) -> pa.Table:
    """The events by place, seconds, sub_second and tie, as an external sort writes them: without the last two, seconds as int64."""
    place, seconds, sub_second, tie = (events[name].to_numpy() for name in ("place", "seconds", "sub_second", "tie"))
    seconds = seconds.astype(np.int64, copy=False)
    order = _order(place.astype(np.int64), seconds, sub_second, tie)
    rest = events.drop_columns(["sub_second", "tie"])
    rest = rest.set_column(rest.schema.get_field_index("seconds"), "seconds", pa.array(seconds))
    return rest.take(pa.array(order))


def _order(place: Ints, seconds: Ints, sub_second: npt.NDArray[np.integer[Any]], tie: Ints) -> Ints:
    first, last = int(seconds.min()), int(seconds.max())
    bits = (last - first).bit_length()
    if int(place.max()).bit_length() + bits > _BITS:
        return np.lexsort((tie, sub_second, seconds, place))
    key = place << bits | (seconds - first)
    order = np.argsort(key)
    key = key[order]
    equal = np.concatenate([[False], key[1:] == key[:-1], [False]])
    some = np.flatnonzero(equal[1:] | equal[:-1])  # neighbours with the same key stay in these places, in the order of their ties
    rows = order[some]
    order[some] = rows[np.lexsort((tie[rows], sub_second[rows], key[some]))]
    return order
