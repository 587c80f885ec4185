"""The section on reach: which targets a method can reach by links, and how well it ranks them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ltrec.data.reach import BEYOND, KNOWN, ONE_LINK, REPEAT
from ltrec.evaluation.estimates import Estimate
from ltrec.evaluation.groups.reach import ReachGroup, ReachSummary
from ltrec.evaluation.metrics import metric_name
from ltrec.reporting.plots.reach import NAMES, metric_given_reach, reach_shares
from ltrec.reporting.plots.strata import Series
from ltrec.reporting.sentences import capital, number
from ltrec.reporting.tables import estimate_cell
from ltrec.reporting.view import Cell, Reached, Table, TableRow, missing, shown

_HARDLY = 0.01

UNKNOWN_REACH = (
    "How far targets are from their histories is not known here: the data set was prepared, or the run evaluated, by an ltrec that "
    "did not measure reach."
)


def reached(label: str, summary: ReachSummary, base_label: str, base: ReachSummary | None) -> Reached:
    """Sentences, two figures and a table.

    Args:
        label: name of the method.
        summary: its metrics by distance.
        base_label: name of the strongest other method.
        base: its metrics; None without another method, or if its distances are unknown.
    """
    strata = summary.strata()
    if not any(group.known for group in strata):
        none = missing("No evaluated user belongs to a stratum.")
        return Reached(reach_text(summary), none, none, _table(label, summary, base_label, base))
    names = tuple(group.label.split()[0] for group in strata)
    over = "users and seeds" if summary.seeds > 1 else "users"
    users_KD = np.array([group.users for group in strata])
    others = {} if base is None else _series(base_label, base.strata())
    given = metric_given_reach(metric_name(summary.metric), names, _series(label, strata), others, over)
    table = _table(label, summary, base_label, base)
    return Reached(reach_text(summary), shown(reach_shares(names, users_KD)), shown(given), table)


def reach_text(summary: ReachSummary) -> tuple[str, ...]:
    """What the figures mean: how much of the tail is out of reach, and whether the tail is served worse even with a link."""
    tail, head = summary.groups["tail"], summary.groups["head"]
    known = f" Distances are known of {summary.known_share:.1%} of the users, drawn by chance." if summary.known_share < 1 else ""
    if not tail.known:
        return (f"No tail user was evaluated whose target's distance is known.{known}",)
    beside = f" ({head.share(BEYOND):.0%} of the head's)" if head.known else ""
    first = f"{tail.share(BEYOND):.0%} of the tail's targets are beyond two links from the history{beside}: no chain of two direct "
    first += "transitions leads to them."
    if tail.share(BEYOND) < _HARDLY:
        first = "Nearly every target of the tail is within two links of the history: reach sets no limit here."
    return (first + known, *_given(summary.metric, tail, head))


def _given(metric: str, tail: ReachGroup, head: ReachGroup) -> tuple[str, ...]:
    """The metric of tail and head at one link, and beyond two."""
    name, (near, far), near_head = metric_name(metric), (tail.metric[ONE_LINK], tail.metric[BEYOND]), head.metric[ONE_LINK]
    if math.isnan(near.mean):
        return ()
    text = f"One link away the tail reaches {name} {number(near.mean)}"
    if not math.isnan(near_head.mean):
        text += f" and the head {number(near_head.mean)}"
    text += "" if math.isnan(far.mean) else f"; beyond two links the tail reaches {number(far.mean)}"
    return (f"{text}.{_meaning(near, near_head)}",)


def _meaning(near: Estimate, near_head: Estimate) -> str:
    if math.isnan(near_head.mean):
        return ""
    if near.low > near_head.high:
        return " Where there is a link the tail is served better than the head: what it lacks is links."
    if near.high < near_head.low:
        return " Where there is a link the tail is still served worse than the head: links alone do not explain its gap."
    return " Where there is a link the two are not told apart."


def _series(label: str, strata: Sequence[ReachGroup]) -> dict[int, Series]:
    ends = ("mean", "low", "high")
    return {
        distance: Series(label, *(np.array([getattr(group.metric[distance], end) for group in strata]) for end in ends))
        for distance in KNOWN
    }


def _table(label: str, summary: ReachSummary, base_label: str, base: ReachSummary | None) -> Table:
    """Shares, then the metric, of every group at every distance that occurs."""
    drawn = [d for d in KNOWN if d != REPEAT or summary.groups["all"].users[REPEAT]]
    scorers = [(label, summary)] + ([] if base is None else [(base_label, base)])
    rows = []
    for key, group in summary.groups.items():
        cells = [Cell(f"{group.known:,}"), *(Cell(_share(group, d)) for d in drawn)]
        cells += [estimate_cell(scorer.groups[key].metric[d]) for _, scorer in scorers for d in drawn]
        accent = key if key in ("tail", "head") else ""
        rows.append(TableRow(capital(group.label), tuple(cells), accent=accent, rule=key == "stratum=0"))
    columns = [capital(NAMES[d]) for d in drawn]
    columns += [f"{name}: {NAMES[d]}" for name, _ in scorers for d in drawn]
    caption = f"Share of targets by distance from the history, and {metric_name(summary.metric)} of each."
    return Table(f"{caption} Small print: 95 % intervals.", ("", "Users", *columns), tuple(rows))


def _share(group: ReachGroup, distance: int) -> str:
    return f"{group.share(distance):.1%}" if group.known else number(math.nan)
