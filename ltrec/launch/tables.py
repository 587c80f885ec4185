"""Evaluation in the terminal: a summary, a comparison, the gate's verdict in one readable sentence."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from ltrec.core.counting import counted
from ltrec.evaluation.compare import Comparison, Difference
from ltrec.evaluation.gate import FAIL, INCONCLUSIVE, PASS, DatasetVerdict, Gate
from ltrec.evaluation.gate_words import deciding, head_test, head_told, share, tail_test, tail_told, too_few_seeds
from ltrec.evaluation.summary import Estimate, Summary
from ltrec.evaluation.table import EvalTable
from ltrec.evaluation.trained import convergence_lines, ranked_line

COLOURS = {PASS: "bold green", FAIL: "bold red", INCONCLUSIVE: "bold yellow"}


def print_summaries(summaries: Mapping[str, Summary], console: Console) -> None:
    """The first summary in full: groups with intervals, the grid, and what one must know to read them; the others beside it."""
    first = next(iter(summaries.values()))
    print_table(group_table(first), console)
    if len(summaries) > 1:
        print_table(baseline_table(list(summaries.values())), console)
    print_table(grid_table(first), console)
    console.print(protocol_line(first), style="dim", highlight=False, soft_wrap=not console.is_terminal)


def print_training(table: EvalTable, console: Console) -> None:
    """Which checkpoint was ranked, and whether its training had converged."""
    lines = [Text(f"ranked: {line}") for line in [ranked_line(table)] if line]
    lines += [Text.assemble(("Note: ", "bold yellow"), line) for line in convergence_lines([table])]
    for line in lines:
        console.print(line, highlight=False, soft_wrap=not console.is_terminal)


def print_comparison(comparison: Comparison, console: Console) -> None:
    """The differences."""
    print_table(comparison_table(comparison), console)


def print_gate(gate: Gate, console: Console) -> None:
    """The verdict and its reasons."""
    console.print(gate_line(gate), highlight=False, soft_wrap=not console.is_terminal)


def print_table(table: Table, console: Console) -> None:
    """Print a table; into a file or pipe at its full width, whatever the width of the terminal that is not there."""
    before = console.width
    if not console.is_terminal:
        console.width = max(before, Measurement.get(console, console.options.update(width=1000), table).maximum)
    try:
        console.print(table)
    finally:
        console.width = before


def group_table(summary: Summary) -> Table:
    """One row per group of users: HR, NDCG, MRR at the headline cutoff with 95 % intervals, AUC, coverage."""
    k = summary.headline.partition("@")[2]
    table = _table(
        f"{summary.name}, {summary.protocol.split} split", ["users", "", "HR@" + k, "NDCG@" + k, "MRR@" + k, "AUC", "coverage@" + k]
    )
    for key, group in summary.groups.items():
        cells = [estimate(group.metrics[f"{name}@{k}"]) for name in ("hr", "ndcg", "mrr")]
        auc, coverage = group.metrics["auc"].mean, group.lists[f"coverage@{k}"]
        table.add_row(
            group.label, f"{group.users:,}", *cells, number(auc, 3), number(coverage, 3), end_section=key in ("all", "head")
        )
    return table


def baseline_table(summaries: Sequence[Summary]) -> Table:
    """The headline metric of the model and the baselines, for everyone, tail and head."""
    headline = summaries[0].headline
    table = _table(f"{pretty(headline)} beside the baselines", ["scorer", "all", "tail", "head"])
    for summary in summaries:
        filtered = "" if summary.protocol.filter_seen == summaries[0].protocol.filter_seen else " (seen items not filtered)"
        table.add_row(summary.name + filtered, *(estimate(summary.groups[g].metrics[headline]) for g in ("all", "tail", "head")))
    return table


def grid_table(summary: Summary) -> Table:
    """Activity stratum x popularity of the target item; each cell has the mean and the number of users."""
    grid = summary.grid
    table = _table(
        f"{pretty(grid.metric)} by training events of the user (rows) and of the target item (columns)",
        ["user \\ item", *grid.columns],
    )
    for k, row in enumerate(grid.rows):
        cells = zip(grid.mean_KP[k].tolist(), grid.users_KP[k].tolist(), strict=True)
        table.add_row(row, *(f"{number(mean)} ({users:,})" if users else "-" for mean, users in cells))
    return table


def protocol_line(summary: Summary) -> str:
    """What the numbers mean."""
    protocol = summary.protocol
    seen = "seen items filtered" if protocol.filter_seen else "seen items kept"
    repeats = "" if math.isnan(summary.repeat_share) else f", {summary.repeat_share:.1%} of the targets are repeats"
    rivals = "" if math.isnan(summary.rivals) else f", {summary.rivals:,.0f} rivals on average"
    return (
        f"{protocol.candidates} ranking, {seen}, ties {protocol.ties}{rivals}{repeats}; "
        f"brackets: 95 % bootstrap over users; data {protocol.manifest[:12]}"
    )


def comparison_table(comparison: Comparison) -> Table:
    """Per group and metric: the other's mean, its change against the base with interval, one-sided p."""
    several = len(comparison.seeds) > 1
    told = f"mean of {len(comparison.seeds)} seeds" if several else "one training seed: intervals know of users only"
    table = _table(
        f"{comparison.other} against {comparison.base}, {comparison.protocol.split} split, {told}",
        [
            "users",
            "",
            "metric",
            comparison.base,
            comparison.other,
            "change",
            "relative",
            "p (gain)",
            *(["seed sd"] if several else []),
        ],
    )
    for group in comparison.groups.values():
        rows = list(group.metrics.items())
        for i, (name, found) in enumerate(rows):
            lead = (group.label, f"{group.users:,}") if i == 0 else ("", "")
            cells = _difference(found) if several else _difference(found)[:-1]
            table.add_row(*lead, pretty(name), *cells, end_section=i == len(rows) - 1)
    return table


def _difference(found: Difference) -> list[str | Text]:
    change = found.change
    colour = "green" if change.low > 0 else ("red" if change.high < 0 else "")
    relative = "-" if math.isnan(found.relative) else f"{found.relative:+.1%}"
    moved = f"{change.mean:+.4f} [{change.low:+.4f}, {change.high:+.4f}]"
    return [
        number(found.base),
        number(found.other),
        Text(moved, colour),
        relative,
        f"{found.p_gain:.4f}",
        number(found.seed_spread),
    ]


def gate_line(gate: Gate) -> Text:
    """The verdict, and why, as a sentence per data set."""
    line = Text.assemble("Gate: ", (gate.verdict.upper(), COLOURS[gate.verdict]))
    if len(gate.datasets) > 1:
        line.append(f" over {len(gate.datasets)} data sets, p-values adjusted by Holm.")
    for verdict in gate.datasets:
        lead = f"\n{verdict.dataset}: {verdict.verdict}. " if len(gate.datasets) > 1 else ". "
        line.append(lead + gate_sentence(gate, verdict))
        for note in verdict.notes:
            line.append("\nNote: ", "bold yellow").append(note)
    return line


def gate_sentence(gate: Gate, verdict: DatasetVerdict) -> str:
    """Did the tail gain, did the head pay, and what would decide it?"""
    tail, head, metric = verdict.tail, verdict.head, pretty(gate.metric)
    tail_users, head_users = counted(tail.users, "user"), counted(head.users, "user")
    if verdict.seeds_missing:
        return (
            f"{too_few_seeds(verdict)} So far, with {verdict.other} instead of {verdict.base}, the tail changed by "
            f"{share(tail.change, tail.base)} {metric} ({tail_users}) and the head by {share(head.change, head.base)} "
            f"({head_users})."
        )
    judged = (
        f"With {verdict.other} instead of {verdict.base} {tail_told(tail, metric)} ({tail_test(tail)}; {tail_users}), and "
        f"{head_told(head, gate)} ({share(head.change, head.base)}, at worst {share(head.low, head.base)}; "
        f"{head_test(head, gate)}; {head_users}; {verdict.seeds} training seeds)."
    )
    return " ".join((judged, *deciding(verdict)))


def estimate(value: Estimate) -> str:
    """``0.1234 [0.1200, 0.1270]``."""
    return "-" if math.isnan(value.mean) else f"{value.mean:.4f} [{value.low:.4f}, {value.high:.4f}]"


def number(value: float, digits: int = 4) -> str:
    """Fixed digits; a dash for nothing."""
    return "-" if math.isnan(value) else f"{value:.{digits}f}"


def pretty(metric: str) -> str:
    """``ndcg@10`` -> ``NDCG@10``."""
    return metric.upper()


def _table(title: str, columns: Sequence[str]) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    for i, name in enumerate(columns):
        table.add_column(name, justify="left" if i == 0 else "right", overflow="fold")
    return table
