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
        lengths_B: int64 [B], positions that hold an item.
        stratum_B: int64 [B], the stratum whose plugins serve the row.
    """

    items: Tensor
    events: Mapping[str, Tensor]
    users: Mapping[str, Tensor]
    lengths_B: Tensor
    stratum_B: Tensor

    @property
    def from_end(self) -> Tensor:
        """Distance of every position from the last of its row [B, W]; 0 after it."""
        return (self.lengths_B[:, None] - 1 - _places(self.items)).clamp(min=0)


def window_of(
    items: Tensor, events: Mapping[str, Tensor], users: Mapping[str, Tensor], stratum_B: Tensor, max_len: int, *, whole: bool
) -> Window:
    """Extract the window.

    Args:
        items: int64 [B, L], histories of any length, 0 behind.
        events, users: columns, [B, L] and [B].
        stratum_B: int64 [B].
        max_len: most positions.
        whole: make every window max_len wide, for models that unroll time.
    """
    items = F.pad(items, (0, 1))  # no window is one position wide, for which a program would be another one
    lengths_B = (items > 0).sum(dim=1)
    starts_B1 = (lengths_B - max_len).clamp(min=0)[:, None]
    length = items.shape[1]
    width = max_len if whole else torch.sym_min(length, max_len)  # type: ignore[no-untyped-call]
    place_BW = starts_B1 + torch.arange(width, device=items.device)
    inside_BW = place_BW.clamp(max=length - 1)
    there_BW = place_BW < lengths_B[:, None]
    taken = {name: F.pad(values, (0, 1)).gather(1, inside_BW) for name, values in events.items()}
    own = torch.where(there_BW, items.gather(1, inside_BW), 0)
    return Window(own, taken, users, lengths_B.clamp(max=max_len), stratum_B)


def _places(items: Tensor) -> Tensor:
    return torch.arange(items.shape[1], device=items.device)[None, :]
