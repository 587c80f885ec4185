"""What a smaller item table costs: the held-out targets of the test split, ranked with both tables, user by user.

Per group of users: the change of NDCG@10, paired, and the share of the first ten items that both recommend, with the intervals of
every comparison (`ltrec.evaluation.comparison`). For many users a sample, evenly spread over the data set.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ltrec.artefact.parity import calls_of, evenly_spread
from ltrec.artefact.recommender import RunProgram
from ltrec.config.tree import RunConfig
from ltrec.core.errors import UserError
from ltrec.core.progress import Progress
from ltrec.data.stream.reading.histories import HistoryChunk, SplitHistories
from ltrec.evaluation.catalogue import ItemCatalogue
from ltrec.evaluation.comparison.compare import difference
from ltrec.evaluation.comparison.pairing import pair
from ltrec.evaluation.config import EvaluationConfig
from ltrec.evaluation.estimates import Estimate
from ltrec.evaluation.groups.users import groups
from ltrec.evaluation.metrics import nearest_cutoff
from ltrec.evaluation.ranking import rank_split
from ltrec.evaluation.table import FULL, SEEN, EvalTable, RankedRows, assemble
from ltrec.run.build.components import Data, build_histories
from ltrec.run.scoring.protocol import protocol_of

MOST_USERS = 20_000


@dataclass(frozen=True, slots=True)
class GroupLoss:
    """One group of users.

    Attributes:
        key, label: as in evaluation.
        users: how many.
        base: NDCG@10 with the table in 32 bits.
        change: with the smaller table, minus that; mean and 95 % interval.
        common: share of the ten best items that both recommend; the same.
    """

    key: str
    label: str
    users: int
    base: float
    change: Estimate
    common: Estimate


@dataclass(frozen=True, slots=True)
class TableLoss:
    """The loss by group.

    Attributes:
        precision: of the table.
        k: cutoff.
        groups: that have users, as in evaluation.
    """

    precision: str
    k: int
    groups: tuple[GroupLoss, ...]

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        found = [{**asdict(g), "change": _ends(g.change), "common": _ends(g.common)} for g in self.groups]
        return {"precision": self.precision, "k": self.k, "groups": {of_group.pop("key"): of_group for of_group in found}}

    def lines(self) -> Iterator[str]:
        """A line per group."""
        for of in self.groups:
            change = f"{of.change.mean:+.4f} [{of.change.low:+.4f}, {of.change.high:+.4f}]"
            common = f"{of.common.mean:.1%} [{of.common.low:.1%}, {of.common.high:.1%}]"
            yield f"{of.label} ({of.users:,}): NDCG@{self.k} {of.base:.4f} {change}, top {self.k} in common {common}"

    def refuse_over(self, most: float) -> None:
        """Refuse a table by which a group loses more than this share of its NDCG.

        Raises:
            UserError: naming the group.
        """
        for of in self.groups:
            if -of.change.mean > most * of.base:
                raise UserError(
                    f"--max-loss {most:g}: with --table {self.precision} {of.label} lose {-of.change.mean:.4f} of NDCG@{self.k} "
                    f"{of.base:.4f}; nothing was written; use a larger table, or allow more"
                )


def table_loss(
    config: RunConfig, data: Data, made: RunProgram, tables: dict[str, Tensor], precision: str, on_progress: Progress
) -> TableLoss | None:
    """Rank the users of the test split with the program's own tables and with others; None if it has no user.

    Args:
        config: of the run.
        data: its data set.
        made: the program.
        tables: as it is given them after they were stored in that precision.
        precision: the name.
        on_progress: called with the number of chunks ranked.
    """
    histories, evaluation = build_histories(config, data, "test"), config.evaluation
    k = nearest_cutoff(evaluation.cutoffs)
    chunks = evenly_spread(len(histories), -(-MOST_USERS // evaluation.chunk_rows))
    if not chunks:
        return None
    base, other = (_ranked(config, data, made, own, histories, chunks, k, on_progress) for own in (made.tables, tables))
    return TableLoss(precision, k, tuple(_by_group(base, other, evaluation, k)))


def _ranked(
    config: RunConfig,
    data: Data,
    made: RunProgram,
    tables: dict[str, Tensor],
    histories: SplitHistories,
    chunks: list[int],
    k: int,
    on_progress: Progress,
) -> EvalTable:
    seen_only, train_count = config.evaluation.candidates == SEEN, data.vocabulary.train_count
    rules: dict[str, Any] = {"filter_seen": config.evaluation.filter_seen, "top_k": k, "seen_only": seen_only}
    parts = list[RankedRows]()
    for part in rank_split(partial(_scores, made, tables), histories, train_count, parts=chunks, **rules):
        parts.append(RankedRows(len(parts), part.rows))
        on_progress("ranking", len(parts), len(chunks))
    protocol = replace(protocol_of(config, data, "test"), candidates=SEEN if seen_only else FULL)
    catalogue = ItemCatalogue.of(train_count)
    return assemble(parts, protocol=protocol, source={}, strata=data.manifest.strata, catalogue=catalogue)


@torch.no_grad()
def _scores(made: RunProgram, tables: dict[str, Tensor], chunk: HistoryChunk) -> Tensor:
    return torch.cat([made.program.scores(*arguments, tables) for arguments in calls_of(chunk, made.rows)])


def _by_group(base: EvalTable, other: EvalTable, config: EvaluationConfig, k: int) -> Iterator[GroupLoss]:
    paired = pair(base=[base], other=[other])
    base_SN, other_SN = paired.values(f"ndcg@{k}")
    common_SN = _in_common(paired.base[0], paired.other[0])[None]
    for group in groups(paired.base[0], config.head_from):
        if group.users:
            lost = difference(base_SN, other_SN, group.mask_N, config)
            common = difference(np.zeros_like(common_SN), common_SN, group.mask_N, config).change
            yield GroupLoss(group.key, group.label, group.users, lost.base, lost.change, common)


def _in_common(base: EvalTable, other: EvalTable) -> npt.NDArray[np.float64]:
    """Share of the first table's recommendations that are the other's too [N]; 1 where it has none."""
    lists, span = [], int(base.catalogue.num_items) + 1
    for table in (base, other):
        items, lengths = table.top_items()
        lists.append((np.repeat(np.arange(len(lengths)), lengths) * span + items, lengths))
    (mine, lengths), (theirs, _) = lists
    both = np.bincount(mine[np.isin(mine, theirs)] // span, minlength=len(lengths))
    return np.where(lengths > 0, both / np.maximum(lengths, 1), 1.0)


def _ends(estimate: Estimate) -> dict[str, float]:
    return {"mean": estimate.mean, "low": estimate.low, "high": estimate.high}
