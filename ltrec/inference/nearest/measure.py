"""Recall of an index: which of the k best items of the full ranking it finds, and how much sooner.

Letters: N users, K items of a list.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ltrec.data.stream.reading.histories import HistoryChunk
from ltrec.inference.lists import ListRules
from ltrec.inference.nearest.ranking import NearestRanking
from ltrec.models.scoring import all_scores

Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Part:
    """Users, or items of lists, whose recall is told apart.

    Attributes:
        key: name in JSON.
        label: name in tables.
        mask: bool, [N] of users or [N, K] of the exact lists' places.
    """

    key: str
    label: str
    mask: Flags


@dataclass(frozen=True, slots=True)
class Recall:
    """Recall of a part.

    Attributes:
        label: name in tables.
        items: of the exact lists.
        found: of these, in the index's lists.
    """

    label: str
    items: int
    found: int

    @property
    def share(self) -> float:
        """Found / items; 1 where there are none, which nothing can miss."""
        return self.found / self.items if self.items else 1.0

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {"items": self.items, "recall": round(self.share, 6)}


@dataclass(frozen=True, slots=True)
class Measurement:
    """An index against the full ranking.

    Attributes:
        recall: by part.
        seconds: for all users of the sample, without the encoder.
        exact_seconds: the full ranking's.
        exact_users: users of the sample whom the index could not serve.
    """

    recall: Mapping[str, Recall]
    seconds: float
    exact_seconds: float
    exact_users: int

    @property
    def least(self) -> float:
        """The least recall of a part."""
        return min(found.share for found in self.recall.values())

    @property
    def speed_up(self) -> float:
        """Of the index over the full ranking."""
        return self.exact_seconds / max(self.seconds, 1e-9)


@dataclass(frozen=True, slots=True)
class Sample:
    """Users whose lists are compared.

    Attributes:
        chunks: of users.
        states: of each chunk.
        exact_NK: their items by the full ranking; 0 = none.
        exact_seconds: what it took.
    """

    chunks: Sequence[HistoryChunk]
    states: Sequence[Tensor]
    exact_NK: npt.NDArray[np.int64]
    exact_seconds: float

    def column(self, name: str) -> npt.NDArray[np.int64]:
        """An attribute of all users [N]: `stratum_B`, `activity_B`."""
        return torch.cat([getattr(chunk, name) for chunk in self.chunks]).numpy()


@torch.inference_mode()
def sample_of(
    states: Callable[[HistoryChunk], Tensor], table_VD: Tensor, rules: ListRules, chunks: Sequence[HistoryChunk]
) -> Sample:
    """Rank the sample exactly."""
    of_chunks = [states(chunk).float() for chunk in chunks]
    start, lists = time.perf_counter(), []
    for chunk, states_BD in zip(chunks, of_chunks, strict=True):
        value_BK, item_BK = rules.best(all_scores(states_BD, table_VD), (chunk.seen_T, chunk.seen_offsets), None)
        lists.append(item_BK.masked_fill(value_BK == -torch.inf, 0))
    seconds = time.perf_counter() - start
    return Sample(chunks, of_chunks, torch.cat(lists).numpy(), seconds)


@torch.inference_mode()
def measure(sample: Sample, ranking: NearestRanking, parts: Sequence[Part]) -> Measurement:
    """Rank the sample by the index, and compare."""
    before, start, lists = ranking.exact_users, time.perf_counter(), []
    for chunk, states_BD in zip(sample.chunks, sample.states, strict=True):
        lists.append(ranking.best_of(states_BD, chunk, None)[1])
    seconds = time.perf_counter() - start
    found_NK = found_in(sample.exact_NK, torch.cat(lists).numpy())
    recall = {part.key: _recall(part, sample.exact_NK, found_NK) for part in parts}
    return Measurement(recall, seconds, sample.exact_seconds, ranking.exact_users - before)


def found_in(exact_NK: npt.NDArray[np.int64], lists_NK: npt.NDArray[np.int64]) -> Flags:
    """bool [N, K]: which items of the exact lists are in a user's list."""
    found: Flags = (exact_NK[:, :, None] == lists_NK[:, None, :]).any(axis=2) & (exact_NK > 0)
    return found


def _recall(part: Part, exact_NK: npt.NDArray[np.int64], found_NK: Flags) -> Recall:
    mask_NK = (exact_NK > 0) & (part.mask if part.mask.ndim == 2 else part.mask[:, None])
    return Recall(part.label, int(mask_NK.sum()), int((found_NK & mask_NK).sum()))
