"""The section on a comparison: the gate, the paired differences, and their text, figure and table.

Numbers and sentences are those that `ltrec evaluate --compare` prints.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from ltrec.evaluation.comparison.compare import GroupComparison
from ltrec.evaluation.comparison.gate_text import sentences
from ltrec.evaluation.estimates import Estimate
from ltrec.evaluation.groups.targets import ITEM_STRATA
from ltrec.evaluation.metrics import metric_name
from ltrec.evaluation.results import RivalComparison
from ltrec.reporting.plots.compare import ForestRow, forest
from ltrec.reporting.plots.strata import positions
from ltrec.reporting.sentences import DASH, capital, number
from ltrec.reporting.view import Cell, Panel, Table, TableRow, missing, shown


def reasons(it: RivalComparison) -> tuple[str, ...]:
    """The reasons for the verdict, in the same sentences as on the terminal."""
    judged, verdict = it.judged, it.verdict
    return (f"{capital(it.refusal)}.",) if judged is None or verdict is None else sentences(judged, verdict)


def forest_panel(it: RivalComparison, index: int) -> Panel:
    """Every group's difference with its interval."""
    where = {"tail": "tail", "head": "head", **{f"stratum={i}": p for i, p in enumerate(positions(it.strata))}}
    marks = [_mark(group, it.metric, where) for group in _groups(it)]
    if not marks:
        return missing("Nobody with a history was evaluated, so there is nothing to compare.")
    head = it.of("head")
    allowed = it.judged.margin * head.base if it.judged and head else 0.0
    names = {"mine": it.mine, "other": it.name}
    return shown(forest(f"against-{index}", metric_name(it.metric), marks, **names, over=it.over(), allowed=allowed))


def differences_table(it: RivalComparison) -> Table:
    """Both means, the change with its interval, and with several seeds the spread."""
    several = len(it.found.seeds) > 1
    rows = []
    for group in _groups(it):
        d = group.metrics[it.metric]
        cells = [Cell(f"{group.users:,}"), Cell(number(d.base)), Cell(number(d.other))]
        cells.append(Cell(f"{d.change.mean:+.4f}", f"{d.change.low:+.4f} to {d.change.high:+.4f}"))
        cells.append(Cell(DASH if math.isnan(d.relative) else f"{d.relative:+.1%}"))
        cells += [Cell(number(d.seed_spread))] if several else []
        accent = group.key if group.key in ("tail", "head") else ""
        rows.append(TableRow(capital(group.label), tuple(cells), accent=accent, rule=group.key in ("stratum=0", *ITEM_STRATA[:2])))
    columns = ("", "Users", capital(it.name), capital(it.mine), "Change", "Relative", *(["Spread over seeds"] if several else []))
    return Table(f"{metric_name(it.metric)}. Small print: 95 % intervals over {it.over()}.", columns, tuple(rows))


def pairing_note(it: RivalComparison) -> str:
    """A note on the number of seeds."""
    seeds = ", ".join(str(s) for s in it.found.seeds if s is not None)
    if len(it.found.seeds) > 1:
        return f"Paired by seed ({seeds}); a user's difference is the mean over seeds, and intervals include their variance."
    return "One training seed: another one may move these differences by more than the intervals say."


def _groups(it: RivalComparison) -> list[GroupComparison]:
    """The groups with users, without cold users, to whom every scorer recommends the same items."""
    everyone = {**it.found.groups, **it.found.targets}
    return [group for group in everyone.values() if group.users and group.key not in ("cold", "outside")]


def _mark(group: GroupComparison, metric: str, where: Mapping[str, str]) -> ForestRow:
    change: Estimate = group.metrics[metric].change
    label = {"all": "all users", "tail": "tail", "head": "head", "new": "new users"}.get(group.key, group.label)
    return ForestRow(label, group.users, change.mean, change.low, change.high, where.get(group.key, ""), group.key)
