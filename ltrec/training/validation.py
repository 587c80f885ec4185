"""Validation inside training: ranks of all users, gathered over ranks in chunk order, turned into a handful of metrics."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from ltrec.core.strata import Strata
from ltrec.data.stream.reading.histories import HistoryChunk
from ltrec.distributed.collectives import all_gather_parts
from ltrec.evaluation.metrics import METRICS, is_metric, metric_values
from ltrec.evaluation.ranking import rank_chunk

ALWAYS = ("ndcg@10", "hr@10")
"""Metrics of every validation."""

Ranked = tuple[int, np.ndarray, np.ndarray, np.ndarray, np.ndarray]


class Validator:
    """Collects ranks chunk by chunk; `finish` gives the metrics overall, for head and tail, and by stratum.

    They are NDCG@10, HR@10, the further metrics of the run's evaluation, and the one that is monitored. Chunk borders do not depend
    on the world size and metrics are computed once from integer ranks in user order, so every world size gives the same numbers.

    Args:
        strata: of training.
        filter_seen: leave out items of the history.
        monitor: ``val/KEY`` or ``val/KEY/GROUP``; KEY is a registered metric at any list length, such as ``mrr`` or ``recall@20``.
        more: names of `METRICS` to measure besides, at 10 or over the whole ranking.
        items: how many items are candidates, from the first on; None = all. Users who wanted others are left out.
    """

    def __init__(
        self, strata: Strata, *, filter_seen: bool, monitor: str, more: Sequence[str] = (), items: int | None = None
    ) -> None:
        self.strata, self.filter_seen, self.monitor, self.items = strata, filter_seen, monitor, items
        named = [key for name in more for key in METRICS[name].keys([10])]
        self.keys = list(dict.fromkeys([*ALWAYS, *named, *_monitored(monitor)]))
        self._parts: list[Ranked] = []

    def add(self, scores_BV: Tensor, chunk: HistoryChunk) -> None:
        """Rank one chunk's targets; scores [B, V+1]."""
        result = rank_chunk(scores_BV.float(), chunk, filter_seen=self.filter_seen, top_k=0, items=self.items)
        measured = (result.rank, result.candidates, chunk.stratum_B.numpy(), chunk.activity_B.numpy())
        rank, candidates, stratum, activity = (value_B[~result.outside] for value_B in measured)
        self._parts.append((chunk.index, rank, candidates, stratum, activity))

    def finish(self) -> dict[str, float]:
        """Metrics over all ranks' chunks; empty when no user has a validation target."""
        mine, self._parts = self._parts, []
        parts = sorted((p for rank in all_gather_parts(mine) for p in rank), key=lambda p: p[0])
        if not parts:
            return {}
        rank, candidates, stratum, activity = (np.concatenate([p[i] for p in parts]) for i in (1, 2, 3, 4))
        return self.metrics(rank, candidates, stratum, activity)

    def metrics(self, rank: np.ndarray, candidates: np.ndarray, stratum: np.ndarray, activity: np.ndarray) -> dict[str, float]:
        """Named means over users; ranks start at 1, and candidates are counted with the target. A group without users has none.

        Raises:
            UserError: a metric gives no finite number per user.
        """
        values = {key: metric_values(key, rank, candidates) for key in self.keys}
        return {
            f"val/{name}{suffix}": float(np.mean(value[users]))
            for suffix, users in self._groups(stratum, activity).items()
            if users.any()
            for name, value in values.items()
        }

    def names(self) -> list[str]:
        """All that `metrics` can give, where every group has users."""
        empty = np.zeros(0, np.int64)
        return [f"val/{key}{suffix}" for suffix in self._groups(empty, empty) for key in self.keys]

    def names_for(self, stratum: np.ndarray, activity: np.ndarray) -> list[str]:
        """All that `metrics` gives of these users."""
        return [
            f"val/{key}{suffix}" for suffix, users in self._groups(stratum, activity).items() if users.any() for key in self.keys
        ]

    def _groups(self, stratum: np.ndarray, activity: np.ndarray) -> dict[str, np.ndarray]:
        """Which users belong to a group, by the end of its metrics' names."""
        head = activity >= self.strata.head_from
        everyone_head_tail = {"": stratum >= 0, "/head": head, "/tail": (stratum >= 0) & ~head}
        return everyone_head_tail | {f"/stratum={z}": stratum == z for z in range(self.strata.count)}


def _monitored(monitor: str) -> list[str]:
    """The metric of ``val/KEY/GROUP``, if it is one."""
    place, _, rest = monitor.partition("/")
    key = rest.partition("/")[0]
    return [key] if place == "val" and is_metric(key) else []
