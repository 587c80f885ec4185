"""How far targets are from the histories, and how well near and far ones are ranked, as Markdown: what a method can work with."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from benchmarks.longtail import tables
from benchmarks.longtail.comparisons import COUNTED
from benchmarks.longtail.judge import Judge
from benchmarks.longtail.markdown import table
from ltrec.core import columns as c
from ltrec.data.reach import BEYOND, ONE_LINK, REPEAT, TWO_LINKS
from ltrec.evaluation.groups.users import Group, groups

DISTANCES = {REPEAT: "in the history", ONE_LINK: "one link", TWO_LINKS: "two links", BEYOND: "farther"}


def reach(judge: Judge, log: str) -> Iterable[str]:
    """Shares of targets by distance for every stratum, and NDCG@10 by distance of base and memory by counts."""
    users = judge.logs[log]
    distance_N = users.reach()
    if distance_N is None:
        return
    of_report = [group for group in groups(users.table) if group.key.startswith("stratum=") or group.key in ("all", "tail", "head")]
    rows = [
        [group.label, f"{group.users:,}", *(f"{100 * float((distance_N[group.mask_N] == d).mean()):.1f} %" for d in DISTANCES)]
        for group in of_report
        if group.users
    ]
    yield "Reach: how far the test targets are from the histories, by links of training events"
    yield table(["users", "how many", *DISTANCES.values()], rows)
    if found := [*_given_reach(judge, log, distance_N)]:
        yield f"NDCG@10 by that distance, {COUNTED.title}"
        yield table(["backbone", *DISTANCES.values()], found)


def _given_reach(judge: Judge, log: str, distance_N: np.ndarray) -> Iterable[list[str]]:
    trained_N = judge.logs[log].table.column(c.STRATUM) >= 0
    parts = [Group(str(d), name, trained_N & (distance_N == d)) for d, name in DISTANCES.items()]
    for model in tables.MODELS:
        paired = judge.paired(log, model, COUNTED.base, COUNTED.other)
        if paired is not None:
            before, after = (judge.means(side, parts=parts) for side in (paired.base, paired.other))
            yield [model, *(f"{before[p.key]:.4f} to {after[p.key]:.4f}" if p.users else "" for p in parts)]
