"""This run against others: the gate's verdict in a box, the paired differences in a figure and a table.

Runs whose configs are equal but for name and seed are seeds of one experiment; seeds are paired with seeds. The first run given is
in question, the others are what it is compared with; when all are seeds of one experiment, the first is held against each other.
Runs that must not be compared are refused (`pairing`), not set side by side.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence

from ltrec.core.errors import UserError
from ltrec.evaluation.compare import Comparison, GroupComparison, compare
from ltrec.evaluation.config import EvaluationConfig
from ltrec.evaluation.gate import FAIL, INCONCLUSIVE, PASS, DatasetVerdict, Gate, Side, gate
from ltrec.evaluation.gate_words import too_few_seeds, undecidable
from ltrec.evaluation.pairing import pair
from ltrec.evaluation.plots_compare import Difference, forest
from ltrec.evaluation.plots_strata import positions
from ltrec.evaluation.report_run import RunFolder
from ltrec.evaluation.report_view import Cell, Panel, Row, Table, Verdict, Versus, missing, shown
from ltrec.evaluation.report_words import DASH, metric_name, number, people
from ltrec.evaluation.summary import Estimate
from ltrec.evaluation.table import EvalTable

FLOOR = "popularity baseline"
SAME = " (the same config, another seed)"
WORDS = {PASS: "Pass", FAIL: "Fail", INCONCLUSIVE: "Inconclusive"}
_OWN = re.compile(r"^(name|seed|out|resume):.*$", re.MULTILINE)
"""Top-level keys that may differ between seeds of one experiment."""


def experiments(runs: Sequence[RunFolder]) -> list[list[RunFolder]]:
    """Runs gathered by experiment, in the order of first appearance; a run without config.yaml stands alone."""
    gathered: dict[str, list[RunFolder]] = {}
    for run in runs:
        key = str(run.path.resolve()) if run.config is None else _OWN.sub("", run.config)
        gathered.setdefault(key, []).append(run)
    return list(gathered.values())


def title_of(experiment: Sequence[RunFolder]) -> str:
    """The run's name, with how many seeds follow it."""
    more = len(experiment) - 1
    return experiment[0].name + (f" and {more} more seed{'s' if more > 1 else ''}" if more else "")


def tables_of(experiment: Sequence[RunFolder], split: str) -> list[EvalTable]:
    """One table per seed.

    Raises:
        UserError: when a run was not evaluated on the split.
    """
    for run in experiment:
        if split not in run.tables:
            raise UserError(f"{run.path} has no eval/{split}.parquet to compare; make it with 'ltrec evaluate {run.path}'")
    return [run.tables[split] for run in experiment]


def verdict(base: Sequence[EvalTable], other: Sequence[EvalTable], against: str, config: EvaluationConfig) -> Verdict:
    """The gate as a box of words."""
    floor = ", the floor under every model" if against == FLOOR else ""
    title = f"Did the tail gain, and did the head pay, against {_the(against)}{floor}?"
    try:
        judged = gate({"this data set": pair(base=base, other=other)}, config)
    except UserError as error:
        return Verdict("No verdict", title, (f"{error}.",))
    found = judged.datasets[0]
    if found.seeds_missing:
        seen = tuple(f"{_seen(name, side, judged)}." for name, side in (("Tail", found.tail), ("Head", found.head)))
        return Verdict(WORDS[judged.verdict], title, (too_few_seeds(found), *seen))
    lines = (_tail_line(found.tail, judged), _head_line(found.head, judged), *_deciding(found, base[0].num_users))
    return Verdict(WORDS[judged.verdict], title, lines, tone="" if judged.verdict == INCONCLUSIVE else judged.verdict)


def versus(base: Sequence[EvalTable], other: Sequence[EvalTable], against: str, index: int, config: EvaluationConfig) -> Versus:
    """The section of one comparison."""
    found = compare(base=base, other=other, config=config)
    metric = next(name for name in next(g.metrics for g in found.groups.values() if g.users) if name.startswith("ndcg@"))
    groups = [g for g in found.groups.values() if g.users and g.key != "cold"]  # every scorer offers cold users the same items
    where = {"tail": "tail", "head": "head", **{f"stratum={i}": p for i, p in enumerate(positions(base[0].strata))}}
    differences = [_difference(g, metric, where) for g in groups]
    figure = shown(forest(f"against-{index}", metric_name(metric), differences, against)) if differences else _nobody()
    return Versus(f"against-{index}", f"Against {_the(against)}", _notes(found, against), _table(groups, metric, against), figure)


def _the(against: str) -> str:
    return f"the {against}" if against == FLOOR else against


def _nobody() -> Panel:
    return missing("Nobody with a history was evaluated, so there is nothing to compare.")


def _notes(found: Comparison, against: str) -> tuple[str, ...]:
    seeds = ", ".join(str(s) for s in found.seeds if s is not None)
    if len(found.seeds) > 1:
        return (
            f"Paired by seed ({seeds}); a user's difference is the mean over seeds, and its intervals hold their luck too. "
            "The parts above show the first run alone.",
        )
    if against.endswith(SAME):
        return ("Config and data are the same, so these differences are chance: the yardstick for a comparison that is not.",)
    return ("One training seed: another one may move these differences by more than the intervals say.",)


def _difference(group: GroupComparison, metric: str, where: Mapping[str, str]) -> Difference:
    change = group.metrics[metric].change
    label = {"all": "all users", "tail": "tail", "head": "head", "new": "new users"}.get(group.key, group.label)
    return Difference(label, group.users, change.mean, change.low, change.high, where.get(group.key, ""))


def _table(groups: Sequence[GroupComparison], metric: str, against: str) -> Table:
    rows = []
    for group in groups:
        d = group.metrics[metric]
        cells = [Cell(f"{group.users:,}"), Cell(number(d.base)), Cell(number(d.other))]
        cells.append(Cell(f"{d.change.mean:+.4f}", _signed(d.change)))
        cells.append(Cell(DASH if math.isnan(d.relative) else f"{d.relative:+.1%}"))
        if not math.isnan(d.seed_spread):
            cells.append(Cell(number(d.seed_spread)))
        accent = group.key if group.key in ("tail", "head") else ""
        rows.append(Row(group.label[:1].upper() + group.label[1:], tuple(cells), accent=accent, rule=group.key == "stratum=0"))
    base = FLOOR.capitalize() if against == FLOOR else against.removesuffix(SAME)
    columns = ("", "Users", base, "This run", "Change", "Relative", "Spread over seeds")
    width = len(rows[0].cells) + 1
    over = "users and seeds" if width == len(columns) else "users"
    return Table(f"{metric_name(metric)}. Small print: 95 % intervals over {over}.", columns[:width], tuple(rows))


def _signed(estimate: Estimate) -> str:
    return f"{estimate.low:+.4f} to {estimate.high:+.4f}"


def _seen(name: str, side: Side, judged: Gate) -> str:
    return f"{name}: {metric_name(judged.metric)} {side.change:+.4f} on {side.base:.4f} over {people(side.users)}"


def _tail_line(side: Side, judged: Gate) -> str:
    said = {PASS: "the tail gained", FAIL: "the tail lost", INCONCLUSIVE: "neither a gain nor a loss is shown"}[side.verdict]
    return (
        f"{_seen('Tail', side, judged)}, one-sided 95 % bounds {side.low:+.4f} and {side.high:+.4f}, "
        f"p\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}{side.p:.4f}: {said}."
    )


def _head_line(side: Side, judged: Gate) -> str:
    said = {
        PASS: "the head did not pay more than that",
        FAIL: "the head paid more than that",
        INCONCLUSIVE: "whether the head paid more than that is not shown",
    }[side.verdict]
    return (
        f"{_seen('Head', side, judged)}, one-sided 95 % bounds {side.low:+.4f} and {side.high:+.4f}. "
        f"Allowed loss: {judged.margin:.0%} ({judged.margin * side.base:.4f}): {said}."
    )


def _deciding(found: DatasetVerdict, users: int) -> tuple[str, ...]:
    lines = []
    for name, side in (("tail", found.tail), ("head", found.head)):
        if side.verdict != INCONCLUSIVE:
            continue
        ways = [f"{side.users_to_decide:,} users (now {users:,})"] if side.users_to_decide else []
        ways += [f"{side.seeds_to_decide:,} seeds (now {found.seeds})"] if side.seeds_to_decide else []
        if ways:
            lines.append(f"What would decide the {name}, if the effect is as seen: about {' or '.join(ways)}.")
        else:
            lines.append(undecidable(name))
    return tuple(lines)
