"""Variants rank a split together: chunk by chunk, so that what they share is computed once."""

from __future__ import annotations

from collections.abc import Mapping

from ltrec.config.tree import RunConfig
from ltrec.data.stream.reading.histories import Score
from ltrec.evaluation.catalogue import ItemCatalogue
from ltrec.evaluation.groups.users import groups
from ltrec.evaluation.metrics import per_user
from ltrec.evaluation.ranking import num_parts, rank_split
from ltrec.evaluation.table import NUM_CANDIDATES, RANK, SEEN, EvalTable, RankedRows, assemble
from ltrec.run.build.components import Data, build_histories
from ltrec.run.scoring.protocol import protocol_of

CUTOFFS = (10, 20)
METRICS = ("ndcg@10", "hr@10", "ndcg@20")


def rank_together(scores: Mapping[str, Score], config: RunConfig, data: Data, split: str) -> dict[str, EvalTable]:
    """Rank every user's target among all items with each of the scores; lists of recommendations are not kept.

    Args:
        scores: by variant.
        config: protocol of evaluation.
        data: opened.
        split: `valid` or `test`.
    """
    histories, train_count = build_histories(config, data, split), data.vocabulary.train_count
    parts_of, protocol = range(num_parts(histories)), protocol_of(config, data, split)
    seen_only, filter_seen = protocol.candidates == SEEN, config.evaluation.filter_seen
    ranked = [
        rank_split(score, histories, train_count, parts=parts_of, filter_seen=filter_seen, top_k=0, seen_only=seen_only)
        for score in scores.values()
    ]
    parts: dict[str, list[RankedRows]] = {name: [] for name in scores}
    for together in zip(*ranked, strict=True):
        for name, part in zip(scores, together, strict=True):
            parts[name].append(part)
    strata, catalogue = data.manifest.strata, ItemCatalogue.of(train_count)
    return {
        name: assemble(found, protocol=protocol, source={"name": name}, strata=strata, catalogue=catalogue)
        for name, found in parts.items()
    }


def means(table: EvalTable) -> dict[str, dict[str, float]]:
    """Group -> metric -> mean over its users."""
    values = per_user(table.column(RANK), table.column(NUM_CANDIDATES), CUTOFFS)
    found = groups(table)
    return {
        group.key: {metric: round(float(values[metric][group.mask_N].mean()), 5) for metric in METRICS}
        for group in found
        if group.users
    }
