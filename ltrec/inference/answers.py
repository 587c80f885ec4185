"""Recommendations for given histories: a row per user in the order of the histories, with lists, best first.

user      as it was given, of the same type
items     raw ids, text; fewer than k where there are no more
scores    of the model, comparable within a user only; counts, where the source is popularity
stratum   the data set's activity stratum of the given history
source    `model`, or `popularity` for a user without a known item
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from ltrec.core.ragged import prefix_sums
from ltrec.inference.given.histories import GivenChunk
from ltrec.inference.rankings import Ranking

USER, ITEMS, SCORES, STRATUM, SOURCE = "user", "items", "scores", "stratum", "source"
MODEL, POPULARITY = "model", "popularity"


def answer_schema(user: pa.DataType) -> pa.Schema:
    """Schema for users of such a type."""
    items, scores = (pa.list_(pa.field("element", kind, nullable=False)) for kind in (pa.string(), pa.float32()))
    fields = [(USER, user), (ITEMS, items), (SCORES, scores), (STRATUM, pa.int8()), (SOURCE, pa.string())]
    return pa.schema([pa.field(name, kind, nullable=False) for name, kind in fields])


class Answerer:
    """Chunks of given histories to rows of the answer.

    Args:
        ranking: users -> the best items that may be recommended.
        fallback: makes the scores [V+1] of whoever has no history; called once, if anybody has none.
        item_id: raw ids [V+1], entry 0 unused.
    """

    def __init__(self, ranking: Ranking, fallback: Callable[[], Tensor], item_id: list[str]) -> None:
        self._ranking, self._make_fallback, self._rules = ranking, fallback, ranking.rules
        self._names = pa.array(item_id, pa.string())
        self._fallback_V: Tensor | None = None

    def answer(self, chunk: GivenChunk) -> pa.Table:
        """Its rows.

        Raises:
            UserError: a score is NaN.
        """
        known_B = torch.from_numpy(chunk.known_B)
        value_BK = torch.full((len(known_B), self._rules.k), -torch.inf)
        item_BK = torch.zeros(len(known_B), self._rules.k, dtype=torch.int64)
        for own_B, best in ((known_B, self._by_model), (~known_B, self._by_popularity)):
            if own_B.any():
                value_BK[own_B], item_BK[own_B] = best(chunk, own_B)
        return self._rows(chunk, value_BK, item_BK)

    def _by_model(self, chunk: GivenChunk, own_B: Tensor) -> tuple[Tensor, Tensor]:
        return self._ranking.best(chunk.histories, _candidates(chunk, own_B))

    def _by_popularity(self, chunk: GivenChunk, own_B: Tensor) -> tuple[Tensor, Tensor]:
        if self._fallback_V is None:
            self._fallback_V = self._make_fallback()
        return self._rules.best(self._fallback_V.repeat(int(own_B.sum()), 1), None, _candidates(chunk, own_B))

    def _rows(self, chunk: GivenChunk, value_BK: Tensor, item_BK: Tensor) -> pa.Table:
        there_BK = value_BK > -torch.inf
        schema = answer_schema(chunk.user.type)
        offsets = pa.array(prefix_sums(there_BK.sum(dim=1).numpy()).astype(np.int32))
        items = self._names.take(pa.array(item_BK[there_BK].numpy()))
        source = pa.array(np.where(chunk.known_B, MODEL, POPULARITY).tolist(), pa.string())
        columns = [
            chunk.user,
            pa.ListArray.from_arrays(offsets, items, type=schema.field(ITEMS).type),
            pa.ListArray.from_arrays(offsets, pa.array(value_BK[there_BK].numpy()), type=schema.field(SCORES).type),
            pa.array(chunk.stratum_B.astype(np.int8)),
            source,
        ]
        return pa.Table.from_arrays(columns, schema=schema)


def _candidates(chunk: GivenChunk, own_B: Tensor) -> list[Tensor | None] | None:
    if chunk.candidates_B is None:
        return None
    return [chunk.candidates_B[user] for user in own_B.nonzero()[:, 0].tolist()]
