"""The report's tables, from summaries."""

from __future__ import annotations

import math
from collections.abc import Mapping

from ltrec.evaluation.estimates import Estimate
from ltrec.evaluation.groups.targets import ITEM_STRATA
from ltrec.evaluation.groups.users import APART
from ltrec.evaluation.metrics import metric_name, unusual
from ltrec.evaluation.summary import GroupSummary, Summary
from ltrec.reporting.sentences import capital, number, seen_items, span, spread_text
from ltrec.reporting.view import Cell, Table, TableRow

LIST_METRICS = {
    "coverage": "Catalogue shown",
    "tail_share": "Tail items in lists",
    "gini": "Gini",
    "popularity": "Mean popularity",
}


def group_table(summary: Summary, baselines: Mapping[str, Summary]) -> Table:
    """The headline metrics of every group, and the headline metric of the baselines (without intervals, for lack of room)."""
    cutoff = summary.headline.partition("@")[2]
    metrics = (summary.headline, f"hr@{cutoff}", "auc", *unusual(summary.groups["all"].metrics, cutoff))
    rows = []
    for key, group in {**summary.groups, **summary.targets}.items():
        cells = [Cell(f"{group.users:,}"), *(estimate_cell(group.metrics[m]) for m in metrics)]
        cells += [Cell(_cell({**floor.groups, **floor.targets}.get(key), summary.headline).value) for floor in baselines.values()]
        rows.append(_group_row(key, group, tuple(cells)))
    titles = (f"{capital(name)} {metric_name(summary.headline)}{_other_filter(s, summary)}" for name, s in baselines.items())
    columns = ("", "Users", *(metric_name(m) for m in metrics), *titles)
    return Table(f"{summary.name}, {summary.protocol.split} split. {small_print(summary)}", columns, tuple(rows))


def full_table(summary: Summary) -> Table:
    """Every metric (rows) of every group (columns). Recall@k is left out: with one target it is HR@k."""
    groups = [*summary.groups.values(), *summary.targets.values()]
    names = [m for m in groups[0].metrics if not m.startswith("recall@")]
    rows = [TableRow(metric_name(m), tuple(estimate_cell(g.metrics[m]) for g in groups)) for m in names]
    lists = [TableRow(metric_name(m), tuple(_list_cell(m, g) for g in groups), rule=not i) for i, m in enumerate(groups[0].lists)]
    return Table("Every metric of every group.", ("", *(g.label for g in groups)), (*rows, *lists))


def coverage_table(summary: Summary, baselines: Mapping[str, Summary]) -> Table:
    """Metrics of the lists over all users, by scorer."""
    cutoff = summary.headline.partition("@")[2]
    keys = [f"{stem}@{cutoff}" for stem in LIST_METRICS]
    rows = [
        TableRow(name, tuple(_list_cell(k, s.groups["all"]) for k in keys), note=_other_filter(s, summary).strip(" ()"))
        for name, s in ((summary.name, summary), *baselines.items())
    ]
    seeds = " Small print: spread over seeds." if len(summary.seeds) > 1 else ""
    return Table(f"Lists of {cutoff} over all users.{seeds}", ("", *LIST_METRICS.values()), tuple(rows))


def side_by_side(summaries: Mapping[str, Summary]) -> Table:
    """Several methods, or seeds of one, a column each, by the headline metric of the first."""
    first = next(iter(summaries.values()))
    groups = {key: group for key, group in {**first.groups, **first.targets}.items() if key not in ("cold", "outside")}
    rows = [
        _group_row(key, group, tuple(_cell({**s.groups, **s.targets}.get(key), first.headline) for s in summaries.values()))
        for key, group in groups.items()
    ]
    return Table(f"{metric_name(first.headline)}. {small_print(first)}", ("", *summaries), tuple(rows))


def small_print(summary: Summary) -> str:
    """Explanation of the small print."""
    if len(summary.seeds) < 2:
        return "Small print: 95 % intervals over users."
    return f"Means of {len(summary.seeds)} seeds. Small print: 95 % intervals over users and seeds, and spread over seeds."


def estimate_cell(estimate: Estimate) -> Cell:
    """A mean with its interval and spread."""
    return Cell(number(estimate.mean), span(estimate), spread_text(estimate))


def _other_filter(scorer: Summary, model: Summary) -> str:
    """A note if seen items are filtered differently than for the model."""
    return "" if scorer.protocol.filter_seen == model.protocol.filter_seen else f" ({seen_items(scorer)})"


def _cell(group: GroupSummary | None, metric: str) -> Cell:
    return estimate_cell(group.metrics[metric]) if group is not None and metric in group.metrics else Cell(number(math.nan))


def _group_row(key: str, group: GroupSummary, cells: tuple[Cell, ...]) -> TableRow:
    accent = key if key in ("tail", "head") else ""
    return TableRow(capital(group.label), cells, accent=accent, rule=key in ("stratum=0", *APART, *ITEM_STRATA[:2]))


def _list_cell(key: str, group: GroupSummary) -> Cell:
    spread = group.list_spreads[key]
    listed = "" if math.isnan(spread) else f"seeds \N{PLUS-MINUS SIGN}{_list_value(key, spread)}"
    return Cell(_list_value(key, group.lists[key]), spread=listed)


def _list_value(key: str, value: float) -> str:
    if math.isnan(value):
        return number(value)
    if key.startswith(("coverage", "tail_share")):
        return f"{value:.1%}"
    return f"{value:.2f}" if key.startswith("gini") else f"{value:,.1f}"
