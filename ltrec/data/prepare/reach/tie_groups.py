"""The ties among a block's training events, and the spans around them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ltrec.core.ragged import I64
from ltrec.data.prepare.sorting.grouping import UserBlock


@dataclass(frozen=True, slots=True)
class TieGroups:
    """n training events of complete users, in order, divided into G ties.

    Attributes:
        code_n: item codes, int32.
        tie_n: number of each event's tie.
        start_G: first event of each tie.
        end_G: one after its last event.
        follows_G: whether the tie before belongs to the same user.
    """

    code_n: npt.NDArray[np.int32]
    tie_n: I64
    start_G: I64
    end_G: I64
    follows_G: npt.NDArray[np.bool_]

    @staticmethod
    def of(block: UserBlock) -> TieGroups:
        """The ties of a block's users."""
        lengths = np.diff(block.offsets)
        user = np.repeat(np.arange(lengths.size), lengths)
        index = np.arange(user.size) - block.offsets[user]
        trained = index < block.users["train_events"].to_numpy()[user]
        user, time = user[trained], block.times[trained]
        first = np.ones(user.size + 1, np.bool_)
        first[1:-1] = user[1:] != user[:-1]
        begins = first.copy()
        begins[1:-1] |= time[1:] != time[:-1]
        bounds = np.flatnonzero(begins)
        start = bounds[:-1]
        return TieGroups(block.codes[trained], np.cumsum(begins[:-1]) - 1, start, bounds[1:], ~first[start])

    def spans(self) -> tuple[I64, I64]:
        """Begin and end of each event's span [n]: its tie and the user's ties before and after."""
        low, high = self.start_G.copy(), self.end_G.copy()
        after = np.flatnonzero(self.follows_G)
        low[after], high[after - 1] = self.start_G[after - 1], self.end_G[after]
        return low[self.tie_n], high[self.tie_n]

    def bits_of_spans(self, bits_n: npt.NDArray[np.uint64]) -> npt.NDArray[Any]:
        """Bitwise OR over the events of each event's span [n]."""
        own_G = np.bitwise_or.reduceat(bits_n, self.start_G)
        around_G, after = own_G.copy(), np.flatnonzero(self.follows_G)
        around_G[after] |= own_G[after - 1]
        around_G[after - 1] |= own_G[after]
        return np.asarray(around_G[self.tie_n])
