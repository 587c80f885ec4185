"""Tables of an evaluation on the screen: summary, comparison, and the gate's verdict in one sentence."""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Mapping, Sequence

from rich import box
from rich.table import Table
from rich.text import Text

from ltrec.evaluation.comparison.compare import Comparison, Difference
from ltrec.evaluation.comparison.gate_text import gate_text
from ltrec.evaluation.comparison.verdict import FAIL, INCONCLUSIVE, PASS, Gate
from ltrec.evaluation.estimates import Estimate
from ltrec.evaluation.memory.text import memory_line
from ltrec.evaluation.metrics import metric_name, unusual
from ltrec.evaluation.summary import Summary
from ltrec.evaluation.table import EvalTable
from ltrec.evaluation.training_facts import convergence_lines, ranked_line
from ltrec.terminal.screen import Screen, shortened

COUNT, INTERVAL, SPREAD = "count", "95 % interval", "seed sd"
LONG = "long names"
"""Columns, and the length of names, that are dropped on a narrow screen."""

COLOURS = {PASS: "bold green", FAIL: "bold red", INCONCLUSIVE: "bold yellow"}


def print_summaries(summaries: Mapping[str, Summary], screen: Screen) -> None:
    """Print the first summary by group with intervals, the others beside it, and the protocol."""
    first = next(iter(summaries.values()))
    k = _cutoff(first)
    more = unusual(first.groups["all"].metrics, k)
    screen.show(lambda without: group_table(first, without), ("auc", f"mrr@{k}", f"hr@{k}", COUNT, *more))
    print_baselines(summaries, screen)


def print_baselines(summaries: Mapping[str, Summary], screen: Screen) -> None:
    """Print the headline metric of all summaries, and the protocol."""
    if len(summaries) > 1:
        screen.show(lambda without: means_table(list(summaries.values()), "beside the baselines", without), (LONG,))
    screen.say(protocol_line(next(iter(summaries.values()))), "dim")


def print_seeds(summaries: Sequence[Summary], screen: Screen) -> None:
    """Print the headline metric of several runs of one method."""
    screen.show(lambda without: means_table(summaries, f"of {len(summaries)} runs", without), (LONG,))


def print_ranked(table: EvalTable, of: str, screen: Screen) -> None:
    """Print which checkpoint was ranked, and with which memory; `of` names the run where there are several."""
    if line := ranked_line(table):
        screen.say(f"ranked{of}: {line}")
    if line := memory_line(table):
        screen.say(f"memory{of}: {line}")


def print_convergence(table: EvalTable, screen: Screen) -> None:
    """Print whether training had converged. (In a comparison the gate does.)"""
    for line in convergence_lines([table]):
        screen.say_styled(Text.assemble(("Note: ", "bold yellow"), line))


def print_comparison(comparison: Comparison, screen: Screen) -> None:
    """Print the differences in the headline metric."""
    screen.show(
        lambda without: comparison_table(comparison, without), (LONG, SPREAD, "p (gain)", COUNT, "base", INTERVAL, "relative")
    )


def print_gate(gate: Gate, screen: Screen) -> None:
    """Print the verdict and its reasons."""
    screen.say_styled(gate_line(gate))


def group_table(summary: Summary, without: Collection[str] = ()) -> Table:
    """One row per group of users, also by type of target: the headline metric with its 95 % interval, and others at its cutoff."""
    k, headline = _cutoff(summary), summary.headline
    more = unusual(summary.groups["all"].metrics, k)
    names = [name for name in (COUNT, f"hr@{k}", headline, f"mrr@{k}", "auc", *more) if name not in without]
    title = f"{shortened(summary.name, 40)}, {summary.protocol.split} split"
    table = _table(title, ["users", *(name if name == COUNT else metric_name(name) for name in names)])
    last = list(summary.groups)[-1]
    for key, group in {**summary.groups, **summary.targets}.items():
        cells = {
            COUNT: f"{group.users:,}",
            headline: estimate(group.metrics[headline]),
            "auc": number(group.metrics["auc"].mean, 3),
        }
        cells |= {name: number(group.metrics[name].mean) for name in names if name not in cells}
        table.add_row(group.label, *(cells[name] for name in names), end_section=key in ("all", "head", last))
    return table


def means_table(summaries: Sequence[Summary], what: str, without: Collection[str] = ()) -> Table:
    """The headline metric of several scorers or runs, for all users, tail and head."""
    headline = summaries[0].headline
    table = _table(f"{metric_name(headline)} {what}", ["scorer", "all", "tail", "head"])
    for summary in summaries:
        filtered = "" if summary.protocol.filter_seen == summaries[0].protocol.filter_seen else " (seen items not filtered)"
        means = (number(summary.groups[g].metrics[headline].mean) for g in ("all", "tail", "head"))
        table.add_row(shortened(summary.name, 10 if LONG in without else 30) + filtered, *means)
    return table


def protocol_line(summary: Summary) -> str:
    """The protocol in one line."""
    protocol = summary.protocol
    seen = "seen items filtered" if protocol.filter_seen else "seen items kept"
    repeats = "" if math.isnan(summary.repeat_share) else f", {summary.repeat_share:.1%} of the targets are repeats"
    rivals = "" if math.isnan(summary.rivals) else f", {summary.rivals:,.0f} rivals on average"
    return (
        f"{protocol.ranking}, {seen}, ties {protocol.ties}{rivals}{repeats}; "
        f"brackets: 95 % bootstrap over users; data {protocol.manifest[:12]}"
    )


def comparison_table(comparison: Comparison, without: Collection[str] = ()) -> Table:
    """Per group: the headline metric of both, the change with its interval, its share of the base, one-sided p."""
    several = len(comparison.seeds) > 1
    listed = f"mean of {len(comparison.seeds)} seeds" if several else "one training seed: intervals cover users only"
    keys = [COUNT, "base", "other", "change", INTERVAL, "relative", "p (gain)", SPREAD]
    shown = [key not in without and (several or key != SPREAD) for key in keys]
    width = 10 if LONG in without else 20
    names = [{"base": shortened(comparison.base, width), "other": shortened(comparison.other, width)}.get(key, key) for key in keys]
    headline = next((name for name in comparison.groups["all"].metrics if name.startswith("ndcg@")), "ndcg@10")
    table = _table(
        f"{metric_name(headline)}: {comparison.other} against {comparison.base}, {comparison.protocol.split} split, {listed}",
        ["users", *itertools.compress(names, shown)],
    )
    table.columns[0].no_wrap = True
    last = list(comparison.groups)[-1]
    for key, group in {**comparison.groups, **comparison.targets}.items():
        if (found := group.metrics.get(headline)) is None:
            continue
        cells = [f"{group.users:,}", *_difference(found)]
        label = group.label.partition(" (")[0]
        table.add_row(label, *itertools.compress(cells, shown), end_section=key in ("all", "head", last))
    return table


def _difference(found: Difference) -> list[str | Text]:
    change = found.change
    colour = "green" if change.low > 0 else ("red" if change.high < 0 else "")
    return [
        number(found.base),
        number(found.other),
        Text(f"{change.mean:+.4f}", colour),
        f"[{change.low:+.4f}, {change.high:+.4f}]",
        "-" if math.isnan(found.relative) else f"{found.relative:+.1%}",
        f"{found.p_gain:.4f}",
        number(found.seed_spread),
    ]


def gate_line(gate: Gate) -> Text:
    """The verdict in colour with its reasons, and notes about training."""
    word = gate.verdict.upper()
    line = Text.assemble("Gate: ", (word, COLOURS[gate.verdict]), gate_text(gate).removeprefix(word))
    for note in (note for verdict in gate.datasets for note in verdict.notes):
        line.append("\nNote: ", "bold yellow").append(note)
    return line


def estimate(value: Estimate) -> str:
    """``0.1234 [0.1200, 0.1270]``."""
    return "-" if math.isnan(value.mean) else f"{value.mean:.4f} [{value.low:.4f}, {value.high:.4f}]"


def number(value: float, digits: int = 4) -> str:
    """Fixed digits; a dash for NaN."""
    return "-" if math.isnan(value) else f"{value:.{digits}f}"


def _cutoff(summary: Summary) -> str:
    return summary.headline.partition("@")[2]


def _table(title: str, columns: Sequence[str]) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    for i, name in enumerate(columns):
        table.add_column(name, justify="left" if i == 0 else "right", overflow="fold", no_wrap=i > 0)
    return table
