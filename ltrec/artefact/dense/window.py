"""The window of a history that a model reads: its last positions, aligned to the left."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Window:
    """B rows of W positions, W being at most max_len.

    Attributes:
        items: int64 [B, W], 0 behind the last one.
        events: columns of events by name, [B, W].
        users: columns of users by name, [B].
        last_B1: int64 [B, 1], place of the last position that holds an item; 0 in a row without one.
        back_BW: int64 [B, W], how far before the last position every one is; negative behind it.
        stratum_B: int64 [B], the stratum whose plugins serve the row.
    """

    items: Tensor
    events: Mapping[str, Tensor]
    users: Mapping[str, Tensor]
    last_B1: Tensor
    back_BW: Tensor
    stratum_B: Tensor

    def last(self, states_BWD: Tensor) -> Tensor:
        """Of the states those after the last position of every row [B, D]."""
        return states_BWD.gather(1, self.last_B1.unsqueeze(2).expand(-1, 1, states_BWD.shape[2])).squeeze(1)


def window_of(
    items: Tensor,
    events: Mapping[str, Tensor],
    users: Mapping[str, Tensor],
    lengths_B1: Tensor,
    stratum_B: Tensor,
    max_len: int,
    *,
    whole: bool,
) -> Window:
    """Extract the window.

    Args:
        items: int64 [B, L], histories of any length, 0 behind.
        events, users: columns, [B, L] and [B].
        lengths_B1: int64 [B, 1], of the histories.
        stratum_B: int64 [B].
        max_len: most positions.
        whole: make every window max_len wide, for models that unroll time.
    """
    items = F.pad(items, (0, 1))  # no window is one position wide, for which a program would be another one
    length = items.shape[1]
    width = max_len if whole else torch.sym_min(length, max_len)  # type: ignore[no-untyped-call]
    place_W, last_B1 = torch.arange(width, device=items.device), lengths_B1.clamp(min=1, max=max_len) - 1
    inside_BW = (lengths_B1 - max_len).clamp(min=0) + place_W
    inside_BW = inside_BW.clamp(max=length - 1) if whole else inside_BW
    taken = {name: F.pad(values, (0, 1)).gather(1, inside_BW) for name, values in events.items()}
    return Window(items.gather(1, inside_BW), taken, users, last_B1, last_B1 - place_W, stratum_B)
