"""Lines of results -> one Markdown page and its figure. Nothing is computed here but means over seeds; both can be made again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import mean

from harness.ledger import Ledger, Line
from methods_figure import write_figure
from methods_summary import newest_summaries
from methods_tables import GATED, Protocol

from ltrec.core.storage.atomic import atomic_write_text
from ltrec.evaluation.baselines import BASELINES

ABOUT = """Written by `benchmarks/methods.py` from the lines beside this file; do not edit it.

{about}

Each method chose one of its settings by validation NDCG@10 over all users, seed 0; then every seed was trained with it and the test
split ranked once. Changes are against joint training, user by user and seed by seed, with 95 % intervals over users and seeds. The
gate: tail NDCG@10 up (one-sided p < .05, Holm over data sets) and head NDCG@10 not more than 5 % below (one-sided 95 %). Over
methods p-values are not adjusted. Seconds are of one thread, the median over seeds; `busy` is seconds on the clock over seconds of
the processor: above 1.1 the run had to wait for other work.
"""

FIGURE = "Change of {metric} against {base}, 95 % intervals. Shaded: what the gate lets the head lose."


def write_page(path: Path, protocol: Protocol, ledger: Ledger) -> None:
    """Make the page of a protocol, with its figure beside it."""
    parts = [f"# {protocol.title}", ABOUT.format(about=protocol.about).strip()]
    found = {data: lines for data in protocol.configs if (lines := ledger.lines(data))}
    figure, caption = path.with_suffix(".png"), FIGURE.format(metric=GATED.upper(), base=protocol.methods[0])
    if write_figure(figure, protocol, found):
        parts += [f"![{caption}]({figure.name})", caption]
    for data, lines in found.items():
        parts += [f"## {data}", *_of_data(protocol, lines)]
    atomic_write_text(path, "\n\n".join(parts) + "\n")


def _of_data(protocol: Protocol, lines: list[Line]) -> Iterable[str]:
    latest = newest_summaries(lines)
    ordered = [latest[m] for m in _in_order(protocol.methods, latest)]
    if ordered:
        for metric in protocol.metrics:
            yield f"**{metric.upper()}**, test, mean over seeds {', '.join(map(str, ordered[0]['seeds']))}"
            yield _means(protocol, ordered, lines, metric)
        for metric in protocol.metrics:
            yield f"**Change of {metric.upper()} against {protocol.methods[0]}**, with 95 % intervals"
            yield _changes(protocol, ordered, metric)
        yield "**Cost**"
        yield _costs(ordered, lines)
    if tuned := [line for line in lines if line["phase"] == "tune"]:
        yield "**Settings tried**, validation, seed 0"
        yield _tuning(protocol, tuned, latest)


def _in_order(methods: Sequence[str], found: Iterable[str]) -> list[str]:
    found = list(found)
    return [*(m for m in methods if m in found), *(m for m in found if m not in methods)]


def _means(protocol: Protocol, summaries: list[Line], lines: list[Line], metric: str) -> str:
    present = [g for g in protocol.groups if g in summaries[0]["groups"]]
    users = [f"{g} ({summaries[0]['groups'][g]['users']:,})" for g in present]
    rows = []
    baselines = next((line["baselines"] for line in reversed(lines) if line["phase"] == "final"), {})
    for name, table in baselines.items():
        if BASELINES.get(name):  # the others are ranked with seen items in
            rows.append([f"*{name}*", *(f"{table[g][metric][0]:.4f}" if metric in table.get(g, {}) else "" for g in present)])
    rows += [[line["method"], *(f"{line['groups'][g][metric]['mean'][0]:.4f}" for g in present)] for line in summaries]
    return _table(["method", *users], rows)


def _changes(protocol: Protocol, summaries: list[Line], metric: str) -> str:
    shown = [g for g in protocol.groups if g in summaries[0]["groups"] and not g.startswith("stratum=")]
    judged = metric == GATED
    rows = []
    for line in summaries:
        if line["method"] != protocol.methods[0]:
            verdict = [f"{line['gate']['tail']['p']:.3f}", f"**{line['gate']['verdict']}** ({_sides(line['gate'])})"]
            rows.append([line["method"], *(_change(line["groups"][g][metric]) for g in shown), *(verdict if judged else [])])
    return _table(["method", *shown, *(["tail p", "gate"] if judged else [])], rows)


def _change(figures: Line) -> str:
    middle, low, high = (1e4 * value for value in figures["change"])
    relative = "" if figures["relative"] is None else f" = {100 * figures['relative']:+.1f} %"
    return f"{middle:+.0f} [{low:+.0f}, {high:+.0f}] e-4{relative}"


def _sides(verdict: Line) -> str:
    """What each of the gate's two tests says."""
    said = f"tail {verdict['tail']['verdict']}, head {verdict['head']['verdict']}"
    return f"{said}; seeds missing: {verdict['seeds_missing']}" if verdict["seeds_missing"] else said


def _costs(summaries: list[Line], lines: list[Line]) -> str:
    rows = []
    for summary in summaries:
        final = [line for line in lines if line["phase"] == "final" and line["run"] in summary["runs"]]
        coverage = mean(line["test"]["all"]["coverage@10"] for line in final)
        seconds = sorted(line["seconds"] for line in final)[len(final) // 2]
        best = ", ".join(_best_epoch(line) for line in final)
        busy, commits = max(line["busy"] for line in final), ", ".join(sorted({line["commit"] for line in final}))
        rows.append([summary["method"], summary["setting"], f"{coverage:.3f}", best, f"{seconds:.0f}", f"{busy:.2f}", commits])
    return _table(["method", "setting", "coverage@10", "best epochs", "seconds", "busy", "commit"], rows)


def _tuning(protocol: Protocol, tuned: list[Line], summaries: dict[str, Line]) -> str:
    rows = []
    for method in _in_order(protocol.methods, dict.fromkeys(line["method"] for line in tuned)):
        newest = {line["setting"]: line for line in tuned if line["method"] == method}
        for setting, line in newest.items():
            chosen = method in summaries and summaries[method]["setting"] == setting
            parts = [f"{line['validation'][g]['ndcg@10']:.4f}" for g in ("all", "tail", "head")]
            name = f"**{setting}**" if chosen else setting
            rows.append([method, name, f"`{' '.join(line['words'])}`" if line["words"] else "", *parts, _best_epoch(line)])
    return _table(["method", "setting", "words", "NDCG@10", "tail", "head", "best epoch"], rows)


def _best_epoch(line: Line) -> str:
    """With a warning where the second stage was not reached."""
    return f"{line['best_epoch']:g}{' (stage 1!)' if line.get('stage') == 1 else ''}"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---", *["--:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
