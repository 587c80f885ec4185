"""Comparison of an exported program with its run on the same real histories.

What is compared are the scores of the recommended items, and the lists themselves: two lists may differ only where the run's own
scores are closer than `CLOSE`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ltrec.artefact.dense.program import ALLOWED
from ltrec.core.errors import UserError
from ltrec.data.stream.reading.histories import HistoryChunk, Score
from ltrec.models.scoring import mask_seen
from ltrec.models.top_items import top_items

MOST, CLOSE = 1e-4, 1e-5
Program = Callable[..., tuple[Tensor, Tensor]]


@dataclass(frozen=True, slots=True)
class Parity:
    """The result of the comparison.

    Attributes:
        histories: how many were compared.
        largest: largest difference of a score.
        unequal: places of lists with another item although the scores are not close.
    """

    histories: int
    largest: float
    unequal: int

    def refuse(self) -> None:
        """Refuse a program that differs from the run.

        Raises:
            UserError: scores differ by more than `MOST`, or lists do.
        """
        if self.unequal or not self.largest <= MOST:
            raise UserError(
                f"the program is not the run: over {self.histories} histories scores differ by up to {self.largest:.2g} (at most "
                f"{MOST:g}), and {self.unequal} places of the lists; nothing was written. Please report it with the run's config"
            )

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        return asdict(self)


def arguments_of(chunk: HistoryChunk) -> tuple[Tensor, dict[str, Tensor], dict[str, Tensor]]:
    """A chunk as the program's arguments: items and event columns [B, L], padded with 0, and user columns [B]."""
    lengths_B, cropped_B = chunk.seen_offsets.diff(), chunk.batch.lengths_B
    rows, length = len(lengths_B), max(1, int(lengths_B.max()))
    row_S, row_T = (torch.repeat_interleave(torch.arange(rows), lengths) for lengths in (lengths_B, cropped_B))
    place_S = torch.arange(row_S.numel()) - chunk.seen_offsets[row_S]
    place_T = chunk.batch.index_in_row() + (lengths_B - cropped_B)[row_T]
    items = torch.zeros(rows, length, dtype=torch.int64)
    items[row_S, place_S] = chunk.seen_T
    events = {}
    for name, values_T in chunk.batch.events.items():
        events[name] = torch.zeros(rows, length, dtype=values_T.dtype)
        events[name][row_T, place_T] = values_T
    return items, events, dict(chunk.batch.users)


def calls_of(chunk: HistoryChunk, rows: int) -> Iterator[tuple[Tensor, dict[str, Tensor], dict[str, Tensor]]]:
    """A chunk as the arguments of several calls, of so many rows at most."""
    items, events, users = arguments_of(chunk)
    for start in range(0, len(items), rows):
        own = slice(start, start + rows)
        of_events, of_users = ({name: values[own] for name, values in columns.items()} for columns in (events, users))
        yield items[own], of_events, of_users


@torch.no_grad()
def compare(
    program: Program, score: Score, chunk: HistoryChunk, tables: dict[str, Tensor], *, filter_seen: bool, rows: int = 1 << 30
) -> Parity:
    """Compare both on one chunk of users with histories.

    Args:
        program: the exported one.
        score: the run's.
        chunk: the users.
        tables: the program's.
        filter_seen: whether items of the history are left out.
        rows: most rows of a call.
    """
    answers = [program(*arguments, tables) for arguments in calls_of(chunk, rows)]
    value_BK, item_BK = (torch.cat(found) for found in zip(*answers, strict=True))
    scores_BV = score(chunk).cpu().float()
    scores_BV = scores_BV.masked_fill(~tables[ALLOWED], -torch.inf)
    if filter_seen:
        mask_seen(scores_BV, chunk.seen_T, chunk.seen_offsets)
    best_BK, own_BK = top_items(scores_BV, value_BK.shape[1])
    there_BK = best_BK > -torch.inf
    other_BK = scores_BV.gather(1, item_BK)
    largest = (value_BK - other_BK)[there_BK].abs().max() if there_BK.any() else torch.zeros(())
    apart_BK = there_BK & (item_BK != own_BK) & ~((best_BK - other_BK).abs() <= CLOSE)
    return Parity(len(scores_BV), float(largest), int(apart_BK.sum()))


def evenly_spread(count: int, most: int) -> list[int]:
    """At most so many numbers below `count`, evenly spread."""
    found: list[int] = np.unique(np.linspace(0, count - 1, min(count, most)).astype(int)).tolist() if count else []
    return found
