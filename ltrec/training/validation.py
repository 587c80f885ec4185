"""Validation inside training: ranks of all users, gathered over ranks in chunk order, turned into a handful of metrics."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from ltrec.core.strata import Strata
from ltrec.data.stream.reading.histories import HistoryChunk
from ltrec.distributed.collectives import all_gather_parts
from ltrec.evaluation.metrics import hit_at, ndcg_at
from ltrec.evaluation.ranking import rank_chunk

METRICS = {"ndcg@10": ndcg_at, "hr@10": hit_at}
Ranked = tuple[int, np.ndarray, np.ndarray, np.ndarray]


class Validator:
    """Collects ranks chunk by chunk; `finish` gives HR@10 and NDCG@10 overall, for head and tail, and by stratum.

    Chunk borders do not depend on the world size and metrics are computed once from integer ranks in user order, so every world
    size gives the same numbers.
    """

    def __init__(self, strata: Strata, *, filter_seen: bool, monitor: str) -> None:
        self.strata, self.filter_seen, self.monitor = strata, filter_seen, monitor
        self._parts: list[Ranked] = []

    def add(self, scores_BV: Tensor, chunk: HistoryChunk) -> None:
        """Rank one chunk's targets; scores [B, V+1]."""
        result = rank_chunk(scores_BV.float(), chunk, filter_seen=self.filter_seen, top_k=0)
        stratum = chunk.stratum_B.numpy()
        self._parts.append((chunk.index, result.rank, stratum, chunk.activity_B.numpy()))

    def finish(self) -> dict[str, float]:
        """Metrics over all ranks' chunks; empty when no user has a validation target."""
        mine, self._parts = self._parts, []
        parts = sorted((p for rank in all_gather_parts(mine) for p in rank), key=lambda p: p[0])
        if not parts:
            return {}
        rank, stratum, activity = (np.concatenate([p[i] for p in parts]) for i in (1, 2, 3))
        return self.metrics(rank, stratum, activity)

    def metrics(self, rank: np.ndarray, stratum: np.ndarray, activity: np.ndarray) -> dict[str, float]:
        """Named means over users; ranks start at 1. A group without users has none."""
        values = {name: value(rank, 10) for name, value in METRICS.items()}
        return {
            f"val/{name}{suffix}": float(np.mean(value[users]))
            for suffix, users in self._groups(stratum, activity).items()
            if users.any()
            for name, value in values.items()
        }

    def names(self) -> list[str]:
        """All that `metrics` can give, where every group has users."""
        nobody = np.zeros(0, np.int64)
        return [f"val/{name}{suffix}" for suffix in self._groups(nobody, nobody) for name in METRICS]

    def _groups(self, stratum: np.ndarray, activity: np.ndarray) -> dict[str, np.ndarray]:
        """Which users belong to a group, by the end of its metrics' names."""
        head = activity >= self.strata.head_from
        everyone_head_tail = {"": stratum >= 0, "/head": head, "/tail": (stratum >= 0) & ~head}
        return everyone_head_tail | {f"/stratum={z}": stratum == z for z in range(self.strata.count)}
