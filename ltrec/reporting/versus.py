"""This method against another: the gate, the paired differences, and their words, figure and table.

Seeds are paired with seeds. Runs that must not be compared are refused (`pairing`), not set side by side. Every figure is of
`compare` or `gate`, the ones that `ltrec evaluate --compare` prints.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ltrec.core.counting import counted
from ltrec.core.errors import UserError
from ltrec.core.strata import Strata
from ltrec.evaluation.comparison.compare import Comparison, Difference, GroupComparison, compare
from ltrec.evaluation.comparison.gate import gate
from ltrec.evaluation.comparison.gate_words import deciding, head_test, head_told, share, tail_test, tail_told, too_few_seeds
from ltrec.evaluation.comparison.pairing import pair
from ltrec.evaluation.comparison.verdict import DatasetVerdict, Gate
from ltrec.evaluation.config import EvaluationConfig
from ltrec.evaluation.estimates import Estimate
from ltrec.evaluation.table import EvalTable
from ltrec.reporting.plots.compare import ForestRow, forest
from ltrec.reporting.plots.strata import positions
from ltrec.reporting.view import Cell, Panel, Table, TableRow, missing, shown
from ltrec.reporting.words import DASH, capital, metric_name, number


@dataclass(frozen=True, slots=True)
class Against:
    """One comparison.

    Attributes:
        name, label: of what it is compared with; the label has the number of seeds.
        mine: name of the method in question.
        found: the paired differences.
        judged: the gate, or None where it cannot judge or was not asked.
        refusal: why it cannot.
        strata: of the data set.
    """

    name: str
    label: str
    mine: str
    found: Comparison
    judged: Gate | None
    refusal: str
    strata: Strata

    @property
    def verdict(self) -> DatasetVerdict | None:
        """The gate's verdict on this data set."""
        return self.judged.datasets[0] if self.judged else None

    @property
    def metric(self) -> str:
        """The metric that is compared first."""
        measured = next((g.metrics for g in self.found.groups.values() if g.users), {})
        return next((name for name in measured if name.startswith("ndcg@")), "")

    def of(self, group: str) -> Difference | None:
        """The difference in a group of users; None where it has none."""
        return self.found.groups[group].metrics.get(self.metric) if group in self.found.groups else None

    def strength(self) -> float:
        """How well the other serves all users; strongest first is by this."""
        everyone = self.of("all")
        return everyone.base if everyone else -math.inf

    def over(self) -> str:
        """What the intervals are over."""
        return "users and seeds" if len(self.found.seeds) > 1 else "users"


def against(
    base: Sequence[EvalTable],
    other: Sequence[EvalTable],
    config: EvaluationConfig,
    *,
    name: str,
    label: str,
    mine: str,
    judge: bool = True,
) -> Against:
    """Compare, and judge if wanted.

    Raises:
        UserError: when the two must not be compared.
    """
    found, judged, refusal = compare(base=base, other=other, config=config), None, ""
    if judge:
        try:
            judged = gate({"this data set": pair(base=base, other=other)}, config)
        except UserError as error:
            refusal = str(error)
    return Against(name, label, mine, found, judged, refusal, base[0].strata)


def reasons(it: Against) -> tuple[str, ...]:
    """Why the verdict is what it is, the tail first, and what would decide what is not decided."""
    judged, verdict = it.judged, it.verdict
    if judged is None or verdict is None:
        return (f"{capital(it.refusal)}.",)
    tail, head, metric = verdict.tail, verdict.head, metric_name(judged.metric)
    if verdict.seeds_missing:
        seen = (
            f"So far the tail changed by {share(tail.change, tail.base)} {metric} ({counted(tail.users, 'user')}) and the head by "
            f"{share(head.change, head.base)} ({counted(head.users, 'user')})."
        )
        return too_few_seeds(verdict), seen
    return (
        f"{capital(tail_told(tail, metric))} ({tail_test(tail)}; {counted(tail.users, 'user')}).",
        f"{capital(head_told(head, judged))} ({share(head.change, head.base)}, at worst {share(head.low, head.base)}; "
        f"{head_test(head, judged)}; {counted(head.users, 'user')}).",
        *deciding(verdict),
    )


def forest_panel(it: Against, index: int) -> Panel:
    """Every group's difference with its interval."""
    where = {"tail": "tail", "head": "head", **{f"stratum={i}": p for i, p in enumerate(positions(it.strata))}}
    marks = [_mark(group, it.metric, where) for group in _groups(it)]
    if not marks:
        return missing("Nobody with a history was evaluated, so there is nothing to compare.")
    head = it.of("head")
    allowed = it.judged.margin * head.base if it.judged and head else 0.0
    names = {"mine": it.mine, "other": it.name}
    return shown(forest(f"against-{index}", metric_name(it.metric), marks, **names, over=it.over(), allowed=allowed))


def differences_table(it: Against) -> Table:
    """Both means, the change with its interval, and with several seeds how far they spread."""
    several = len(it.found.seeds) > 1
    rows = []
    for group in _groups(it):
        d = group.metrics[it.metric]
        cells = [Cell(f"{group.users:,}"), Cell(number(d.base)), Cell(number(d.other))]
        cells.append(Cell(f"{d.change.mean:+.4f}", f"{d.change.low:+.4f} to {d.change.high:+.4f}"))
        cells.append(Cell(DASH if math.isnan(d.relative) else f"{d.relative:+.1%}"))
        cells += [Cell(number(d.seed_spread))] if several else []
        accent = group.key if group.key in ("tail", "head") else ""
        rows.append(TableRow(capital(group.label), tuple(cells), accent=accent, rule=group.key == "stratum=0"))
    columns = ("", "Users", capital(it.name), capital(it.mine), "Change", "Relative", *(["Spread over seeds"] if several else []))
    return Table(f"{metric_name(it.metric)}. Small print: 95 % intervals over {it.over()}.", columns, tuple(rows))


def pairing_note(it: Against) -> str:
    """On how many seeds it rests."""
    seeds = ", ".join(str(s) for s in it.found.seeds if s is not None)
    if len(it.found.seeds) > 1:
        return f"Paired by seed ({seeds}); a user's difference is the mean over seeds, and intervals hold their luck too."
    return "One training seed: another one may move these differences by more than the intervals say."


def _groups(it: Against) -> list[GroupComparison]:
    """Those with users; every scorer offers cold users the same items."""
    return [group for group in it.found.groups.values() if group.users and group.key != "cold"]


def _mark(group: GroupComparison, metric: str, where: Mapping[str, str]) -> ForestRow:
    change: Estimate = group.metrics[metric].change
    label = {"all": "all users", "tail": "tail", "head": "head", "new": "new users"}.get(group.key, group.label)
    return ForestRow(label, group.users, change.mean, change.low, change.high, where.get(group.key, ""), group.key)
