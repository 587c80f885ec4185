"""The sentences of the report, bad news first. Pure functions of summaries."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from ltrec.core.counting import counted, of_range
from ltrec.evaluation.estimates import Estimate
from ltrec.evaluation.metrics import metric_name
from ltrec.evaluation.summary import GroupSummary, Summary
from ltrec.reporting.view import Phrase, Sentence, Tile

DASH = "\N{EN DASH}"


def number(value: float) -> str:
    """Four decimals; a dash for NaN."""
    return DASH if math.isnan(value) else f"{value:.4f}"


def span(estimate: Estimate) -> str:
    """An interval as ``0.0412–0.0630``; empty without one."""
    return "" if math.isnan(estimate.low) else f"{estimate.low:.4f}{DASH}{estimate.high:.4f}"


def capital(text: str) -> str:
    """The text with its first letter in upper case; other letters are unchanged."""
    return text[:1].upper() + text[1:]


def typeset(text: str) -> str:
    """Typographic signs: a true minus before a number, and no line break inside ``95 %`` and ``p = .003``."""
    text = re.sub(r"(?<![\w.-])-(?=\.?\d)", "\N{MINUS SIGN}", text)
    text = re.sub(r"(?<=\d) ?%", "\N{NO-BREAK SPACE}%", text)
    return re.sub(r"\bp ([=<>]) (?=[.\d])", "p\N{NO-BREAK SPACE}\\1\N{NO-BREAK SPACE}", text)


def headline(summary: Summary) -> Sentence:
    """How well head and tail are served, and the gap."""
    metric, (everyone, tail, head) = summary.headline, _main_groups(summary)
    name = metric_name(metric)
    if not everyone.users:
        return (Phrase(f"Nobody with a history was evaluated, so there is no {name} to report."),)
    if not tail.users or not head.users:
        side = "head" if head.users else "tail"
        belong = f"all of them are {side} users" if everyone.users > 1 else f"it is a {side} user"
        value = number(everyone.metrics[metric].mean)
        return (Phrase(f"{counted(everyone.users, 'user reaches', 'users reach')} {name} "), Phrase(value), Phrase(f"; {belong}."))
    low, high = tail.metrics[metric].mean, head.metrics[metric].mean
    opening = (
        Phrase("Tail", "tail"),
        Phrase(" users get "),
        Phrase(f"{name} {low:.4f}", "tail"),
        Phrase(", "),
        Phrase("head", "head"),
    )
    return (*opening, Phrase(" users "), Phrase(f"{high:.4f}", "head"), Phrase(f": {_gap(low, high)}."))


def lede(summary: Summary) -> tuple[Sentence, ...]:
    """How certain the gap is, and which stratum is served worst."""
    metric, (_, tail, head) = summary.headline, _main_groups(summary)
    sentences: list[Sentence] = []
    if tail.users and head.users:
        sentences.append(_sureness(tail, head, metric))
    worst = summary.worst(metric)
    if worst is not None and len(summary.strata()) > 1:
        value = f"{number(worst.metrics[metric].mean)} over {counted(worst.users, 'user')}"
        sentences.append((Phrase(f"The stratum served worst has {worst.label}: {value}."),))
    return tuple(sentences)


def strongest(baselines: Mapping[str, Summary]) -> str | None:
    """The baseline with the best metric over all users; None without baselines."""
    found = {name: s.groups["all"].metrics[s.headline].mean for name, s in baselines.items()}
    known = {name: value for name, value in found.items() if not math.isnan(value)}
    return max(known, key=lambda name: known[name], default=None)


def seen_items(summary: Summary) -> str:
    """Whether items of the history can be recommended, in words."""
    return "seen items left out" if summary.protocol.filter_seen else "seen items stay in"


def baseline_sentences(summary: Summary, baselines: Mapping[str, Summary]) -> tuple[str, ...]:
    """The strongest baseline, how far the model is above it, and the other baselines."""
    best = strongest(baselines)
    if best is None:
        return ()
    metric = metric_name(summary.headline)
    value = {name: number(s.groups["all"].metrics[s.headline].mean) for name, s in baselines.items()}
    first = (
        f"The strongest baseline that needs no training is {best} ({seen_items(baselines[best])}), with {metric} {value[best]} "
        f"over all users. {_ratios(summary, baselines[best])}"
    )
    rest = [f"{name} ({seen_items(baselines[name])}) {value[name]}" for name in baselines if name != best]
    return (first, *([f"Below it: {', '.join(rest)}."] if rest else []))


def tiles(summary: Summary, baselines: Mapping[str, Summary]) -> tuple[Tile, ...]:
    """The large numbers at the top of the page."""
    shown = [
        ("All users", "", summary.groups["all"]),
        ("Tail", "tail", summary.groups["tail"]),
        ("Head", "head", summary.groups["head"]),
    ]
    cards = [_tile(label, group, summary.headline, accent) for label, accent, group in shown]
    best = strongest(baselines)
    if best is not None:
        cards.append(_tile(f"Strongest baseline: {best}", baselines[best].groups["all"], summary.headline, ""))
    return tuple(cards)


def cold_users(summary: Summary) -> tuple[str, ...]:
    """Sentences on users without a history and users kept out of training."""
    name = metric_name(summary.headline)
    explained = {
        "new": "were kept out of training but have a history; they belong to no stratum and count in the line of all users",
        "cold": "had no history before the target and could be offered only the most popular items; this counts in no other figure",
        "outside": "wanted an item that training never saw, which is not a candidate here; they are in no other figure",
    }
    found = [(summary.groups[key], words) for key, words in explained.items() if key in summary.groups]
    lines = [
        f"{counted(g.users, 'user')} {_was(words, g.users)}. The mean {name} is {number(e.mean)} ({span(e)})."
        for g, words in found
        for e in [g.metrics[summary.headline]]
    ]
    return tuple(lines) or ("Every evaluated user has a history, and nobody was kept out of training.",)


def grid_notes(summary: Summary) -> tuple[str, ...]:
    """How to read the grid, with its two extreme columns in words."""
    grid = summary.grid
    (few, rare), (many, common) = grid.column(0), grid.column(-1)
    notes = ["A tail user may want a popular item and a head user a rare one. The grid keeps the two kinds of tail apart."]
    if len(grid.columns) > 1 and few and many:
        name = metric_name(grid.metric)
        notes.append(
            f"Over all strata, users whose target is among the most popular items ({of_range(grid.columns[-1], 'event')}; "
            f"{counted(many, 'user')}) get {name} {common:.4f}, those who want the rarest ({of_range(grid.columns[0], 'event')}; "
            f"{counted(few, 'user')}) {rare:.4f}."
        )
    return tuple(notes)


def limits(summary: Summary | None, seeds: int) -> tuple[str, ...]:
    """What the page does not show. `seeds` is the largest number of training seeds of any method on it."""
    lines = [
        "An interval shows how far a mean would move had other users been drawn"
        + (
            ". It says nothing about another training seed: this page rests on one."
            if seeds < 2
            else " and, of several seeds, others."
        )
    ]
    if summary is not None:
        if summary.protocol.candidates.startswith("sampled"):
            lines.insert(0, f"Targets were ranked among a {summary.protocol.candidates} set of items: the numbers are too high.")
        lines.append("Intervals stand for one group each. With many strata, one of them is expected to look unusual by chance.")
        lines.append("Each user has one target, so Recall@k equals HR@k, and a good second choice counts as a miss.")
        if not math.isnan(summary.repeat_share):
            lines.append(_repeats(summary))
        lines.append(
            "Coverage, Gini and shares describe whole lists of a group; they grow with its size: never compare them across groups."
        )
    lines.append("The logs show what people chose among what they were shown. No offline number replaces a test with users.")
    return tuple(lines)


def _main_groups(summary: Summary) -> tuple[GroupSummary, GroupSummary, GroupSummary]:
    return summary.groups["all"], summary.groups["tail"], summary.groups["head"]


def _gap(tail: float, head: float) -> str:
    if f"{tail:.4f}" == f"{head:.4f}":
        return "no gap"
    behind, share = ("tail", 1 - tail / head) if tail < head else ("head", 1 - head / tail)
    return f"the {behind} trails by {share:.0%}"


def _sureness(tail: GroupSummary, head: GroupSummary, metric: str) -> Sentence:
    t, h = tail.metrics[metric], head.metrics[metric]
    apart = t.high < h.low or h.high < t.low
    words = (
        "do not overlap, so the gap is not an accident of which users were drawn"
        if apart
        else "overlap: other users might close the gap"
    )
    return (
        Phrase("The 95 % intervals, "),
        Phrase(span(t), "tail"),
        Phrase(f" for {counted(tail.users, 'user')} and "),
        Phrase(span(h), "head"),
        Phrase(f" for {head.users:,}, {words}."),
    )


def _ratios(summary: Summary, baseline: Summary) -> str:
    """The model's metrics as multiples of a baseline's."""
    ratios = []
    for key in ("tail", "head"):
        mine, theirs = (s.groups[key].metrics[summary.headline].mean for s in (summary, baseline))
        if not math.isnan(mine) and theirs > 0:
            ratios += [(key, mine / theirs)]
    if not ratios:
        return "It scores zero, so no ratio to it can be given."
    listed = " and ".join(f"{ratio:.2f} times its value for the {key}" for key, ratio in ratios)
    below = " and the ".join(key for key, ratio in ratios if ratio < 1)
    return f"{summary.name} reaches {listed}" + (f", and so is below it for the {below}." if below else ".")


def spread_text(estimate: Estimate) -> str:
    """The spread over seeds; empty with a single one."""
    return "" if math.isnan(estimate.spread) else f"seeds \N{PLUS-MINUS SIGN}{estimate.spread:.4f}"


def _tile(label: str, group: GroupSummary, metric: str, accent: str) -> Tile:
    estimate = group.metrics[metric]
    return Tile(label, number(estimate.mean), span(estimate), f"{metric_name(metric)}, {counted(group.users, 'user')}", accent)


def _was(words: str, users: int) -> str:
    return words.replace("were kept", "was kept", 1) if users == 1 else words


def _repeats(summary: Summary) -> str:
    share = f"{summary.repeat_share:.1%} of the targets had been seen by their user before"
    rule = (
        "Seen items are left out of the ranking, except the target itself"
        if summary.protocol.filter_seen
        else "Seen items stay in the ranking"
    )
    return f"{share}. {rule}."
