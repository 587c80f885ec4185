"""The report's tables, from summaries."""

from __future__ import annotations

import math
from collections.abc import Mapping

from ltrec.evaluation.report_view import Cell, Row, Table
from ltrec.evaluation.report_words import metric_name, number, span
from ltrec.evaluation.summary import GroupSummary, Summary

LIST_METRICS = {
    "coverage": "Catalogue shown",
    "tail_share": "Tail items in lists",
    "gini": "Gini",
    "popularity": "Mean popularity",
}


def group_table(summary: Summary, baselines: Mapping[str, Summary]) -> Table:
    """The headline metrics of every group, and the headline metric of the popularity baseline beside them."""
    cutoff = summary.headline.partition("@")[2]
    metrics = (summary.headline, f"hr@{cutoff}", "mrr", "auc")
    popularity = baselines.get("popularity")
    columns = ["Users", "", *(metric_name(m) for m in metrics)]
    columns[:2] = ["", "Users"]
    rows = []
    for key, group in summary.groups.items():
        cells = [Cell(f"{group.users:,}"), *(Cell(number(group.metrics[m].mean), span(group.metrics[m])) for m in metrics)]
        if popularity is not None:
            floor = popularity.groups[key].metrics[summary.headline] if key in popularity.groups else None
            cells.append(Cell(number(floor.mean), span(floor)) if floor else Cell(number(math.nan)))
        rows.append(_group_row(key, group, tuple(cells)))
    if popularity is not None:
        columns.append(f"Popularity {metric_name(summary.headline)}")
    return Table(
        f"{summary.name}, {summary.protocol.split} split. Small print: 95 % intervals over users.", tuple(columns), tuple(rows)
    )


def full_table(summary: Summary) -> Table:
    """Every metric (rows) of every group (columns). Recall@k is left out: with one target it is HR@k."""
    groups = list(summary.groups.values())
    names = [m for m in groups[0].metrics if not m.startswith("recall@")]
    rows = [Row(metric_name(m), tuple(Cell(number(g.metrics[m].mean), span(g.metrics[m])) for g in groups)) for m in names]
    lists = [
        Row(metric_name(m), tuple(Cell(_list_value(m, g.lists[m])) for g in groups), rule=not i)
        for i, m in enumerate(groups[0].lists)
    ]
    return Table("Every metric of every group.", ("", *(g.label for g in groups)), (*rows, *lists))


def coverage_table(summary: Summary, baselines: Mapping[str, Summary]) -> Table:
    """What the lists of all users look like, scorer by scorer."""
    cutoff = summary.headline.partition("@")[2]
    keys = [f"{stem}@{cutoff}" for stem in LIST_METRICS]
    rows = [
        Row(name, tuple(Cell(_list_value(k, s.groups["all"].lists[k])) for k in keys), note=_other_filter(s, summary))
        for name, s in ((summary.name, summary), *baselines.items())
    ]
    return Table(f"Lists of {cutoff} over all users.", ("", *LIST_METRICS.values()), tuple(rows))


def runs_table(runs: Mapping[str, Summary]) -> Table:
    """Several runs, one column each, by the first one's headline metric."""
    first = next(iter(runs.values()))
    groups = {key: group for key, group in first.groups.items() if key != "cold"}
    rows = [
        _group_row(key, group, tuple(_cell(s.groups.get(key), first.headline) for s in runs.values()))
        for key, group in groups.items()
    ]
    return Table(f"{metric_name(first.headline)} of each run. Small print: 95 % intervals over users.", ("", *runs), tuple(rows))


def _other_filter(scorer: Summary, model: Summary) -> str:
    """A word of warning where a baseline was ranked under another rule than the model."""
    if scorer.protocol.filter_seen == model.protocol.filter_seen:
        return ""
    return "seen items left out" if scorer.protocol.filter_seen else "seen items stay in"


def _cell(group: GroupSummary | None, metric: str) -> Cell:
    if group is None or metric not in group.metrics:
        return Cell(number(math.nan))
    return Cell(number(group.metrics[metric].mean), span(group.metrics[metric]))


def _group_row(key: str, group: GroupSummary, cells: tuple[Cell, ...]) -> Row:
    return Row(
        group.label[:1].upper() + group.label[1:],
        cells,
        accent=key if key in ("tail", "head") else "",
        rule=key in ("stratum=0", "new", "cold"),
    )


def _list_value(key: str, value: float) -> str:
    if math.isnan(value):
        return number(value)
    if key.startswith(("coverage", "tail_share")):
        return f"{value:.1%}"
    return f"{value:.2f}" if key.startswith("gini") else f"{value:,.1f}"
