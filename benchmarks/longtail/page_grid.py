"""Where a change comes from: users by activity and targets by popularity, as Markdown."""

from __future__ import annotations

from collections.abc import Iterable

from benchmarks.longtail.comparisons import COUNTED
from benchmarks.longtail.judge import Judge
from benchmarks.longtail.markdown import table


def grid(judge: Judge, log: str, model: str) -> Iterable[str]:
    """NDCG@10 of base and memory by counts in every cell of strata and classes of items, if both are there."""
    paired = judge.paired(log, model, COUNTED.base, COUNTED.other)
    if paired is None:
        return
    one = paired.base[0]
    parts = {group.key: group for group in judge.cells(one)}
    before, after = (judge.means(side, parts=list(parts.values())) for side in (paired.base, paired.other))
    strata, classes = one.strata.names(), one.catalogue.class_names(judge.config.item_shares)
    rows = []
    for number, stratum in enumerate(strata):
        keys = [f"stratum={number},items={name}" for name in classes]
        cells = [f"{before[key]:.4f} to {after[key]:.4f} ({parts[key].users:,})" if key in parts else "" for key in keys]
        rows.append([f"{stratum} events", *cells])
    yield f"{COUNTED.title}, by activity of the user and training events of the target (users)"
    yield table(["user", *(f"items with {name}" for name in classes)], rows)
