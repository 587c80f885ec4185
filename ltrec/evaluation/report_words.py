"""The report's sentences: what the numbers say, said plainly, the bad news first. Pure functions of summaries."""

from __future__ import annotations

import math
from collections.abc import Mapping

from ltrec.evaluation.report_view import Part, Sentence, Tile
from ltrec.evaluation.summary import Estimate, GroupSummary, Summary

DASH = "\N{EN DASH}"
ACRONYMS = {"hr": "HR", "ndcg": "NDCG", "mrr": "MRR", "auc": "AUC", "recall": "Recall"}


def metric_name(key: str) -> str:
    """``ndcg@10`` as people write it: ``NDCG@10``."""
    stem, at, cutoff = key.partition("@")
    return ACRONYMS.get(stem, stem.replace("_", " ").capitalize()) + at + cutoff


def number(value: float) -> str:
    """Four decimals; a dash where there is no value."""
    return DASH if math.isnan(value) else f"{value:.4f}"


def span(estimate: Estimate) -> str:
    """An interval as ``0.0412–0.0630``; empty where there is none."""
    return "" if math.isnan(estimate.low) else f"{estimate.low:.4f}{DASH}{estimate.high:.4f}"


def people(count: int) -> str:
    """``1 user``, ``1,024 users``."""
    return f"{count:,} user" + ("" if count == 1 else "s")


def headline(summary: Summary) -> Sentence:
    """How well head and tail are served, and the gap."""
    metric, (everyone, tail, head) = summary.headline, _main_groups(summary)
    name = metric_name(metric)
    if not everyone.users:
        return (Part(f"Nobody with a history was evaluated, so there is no {name} to report."),)
    if not tail.users or not head.users:
        side = "head" if head.users else "tail"
        value = number(everyone.metrics[metric].mean)
        return (Part(f"{people(everyone.users)} reach {name} "), Part(value), Part(f"; all of them are {side} users."))
    low, high = tail.metrics[metric].mean, head.metrics[metric].mean
    opening = (Part("Tail", "tail"), Part(" users get "), Part(f"{name} {low:.4f}", "tail"), Part(", "), Part("head", "head"))
    return (*opening, Part(" users "), Part(f"{high:.4f}", "head"), Part(f": {_gap(low, high)}."))


def lede(summary: Summary, baselines: Mapping[str, Summary]) -> tuple[Sentence, ...]:
    """How sure that is, who is served worst, and whether the model beats the simplest baseline."""
    metric, (everyone, tail, head) = summary.headline, _main_groups(summary)
    sentences: list[Sentence] = []
    if tail.users and head.users:
        sentences.append(_sureness(tail, head, metric))
    if "popularity" in baselines and everyone.users:
        sentences.append(_against_popularity(summary, baselines["popularity"]))
    worst = summary.worst(metric)
    if worst is not None and len(summary.strata()) > 1:
        value = f"{number(worst.metrics[metric].mean)} over {people(worst.users)}"
        sentences.append((Part(f"The stratum served worst has {worst.label}: {value}."),))
    return tuple(sentences)


def tiles(summary: Summary, baselines: Mapping[str, Summary]) -> tuple[Tile, ...]:
    """The numbers to remember."""
    popularity = baselines.get("popularity")
    shown = [
        ("All users", "", summary.groups["all"]),
        ("Tail", "tail", summary.groups["tail"]),
        ("Head", "head", summary.groups["head"]),
    ]
    cards = [_tile(label, group, summary.headline, accent) for label, accent, group in shown]
    if popularity is not None:
        cards.append(_tile("Popularity baseline", popularity.groups["all"], summary.headline, ""))
    return tuple(cards)


def cold_users(summary: Summary) -> tuple[str, ...]:
    """What became of users without history and users kept out of training."""
    name = metric_name(summary.headline)
    explained = {
        "new": "were kept out of training but have a history; they belong to no stratum and count in the line of all users",
        "cold": "had no history before their target; they are offered the most popular items and count in no other figure here",
    }
    found = [(summary.groups[key], words) for key, words in explained.items() if key in summary.groups]
    said = [
        f"{people(g.users)} {_was(words, g.users)}. Their {name} is {number(e.mean)} ({span(e)})."
        for g, words in found
        for e in [g.metrics[summary.headline]]
    ]
    return tuple(said) or ("Every evaluated user has a history, and nobody was kept out of training.",)


def grid_notes(summary: Summary) -> tuple[str, ...]:
    """How to read the grid, with its two extreme columns in words."""
    grid = summary.grid
    rare, common = (
        sum(m * n for m, n in zip(grid.mean_KP[:, p], grid.users_KP[:, p], strict=True) if n)
        / max(int(grid.users_KP[:, p].sum()), 1)
        for p in (0, -1)
    )
    count = [int(grid.users_KP[:, p].sum()) for p in (0, -1)]
    notes = ["A tail user may want a popular item and a head user a rare one. The grid keeps the two kinds of tail apart."]
    if len(grid.columns) > 1 and all(count):
        name = metric_name(grid.metric)
        notes.append(
            f"Over all strata, {people(count[1])} whose target is among the most popular items ({grid.columns[-1]} events) get "
            f"{name} {common:.4f}; the {count[0]:,} who want the rarest ({grid.columns[0]} events) get {rare:.4f}."
        )
    return tuple(notes)


def limits(summary: Summary | None, seeds: int) -> tuple[str, ...]:
    """What the page does not say. `seeds` is the largest number of training seeds behind one side of it."""
    said = [
        "An interval says how far a mean would move had other users been drawn. It says nothing about another training seed"
        + (": this page rests on one." if seeds < 2 else ", except where seeds are paired.")
    ]
    if summary is not None:
        if summary.protocol.candidates != "full":
            said.insert(0, f"Targets were ranked among a {summary.protocol.candidates} set of items: the numbers are too high.")
        said.append("Intervals stand for one group each. With many strata, one of them is expected to look unusual by chance.")
        said.append("Each user has one target, so Recall@k equals HR@k, and a good second choice counts as a miss.")
        if not math.isnan(summary.repeat_share):
            said.append(_repeats(summary))
        said.append(
            "Coverage, Gini and shares describe whole lists of a group; they grow with its size: never compare them across groups."
        )
    said.append("The logs show what people chose among what they were shown. No offline number replaces a test with users.")
    return tuple(said)


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
        "do not overlap, so the gap is no accident of which users were drawn"
        if apart
        else "overlap: other users might close the gap"
    )
    return (
        Part("The 95 % intervals, "),
        Part(span(t), "tail"),
        Part(f" for {people(tail.users)} and "),
        Part(span(h), "head"),
        Part(f" for {head.users:,}, {words}."),
    )


def _against_popularity(summary: Summary, popularity: Summary) -> Sentence:
    metric = summary.headline
    ratios = []
    for key in ("tail", "head"):
        mine, floor = summary.groups[key].metrics[metric].mean, popularity.groups[key].metrics[metric].mean
        if not math.isnan(mine) and floor > 0:
            ratios += [(key, mine / floor)]
    if not ratios:
        return (Part("The popularity baseline scores zero, so no ratio to it can be given."),)
    parts = [Part("Recommending what is popular is the floor: against it the model reaches ")]
    for position, (key, ratio) in enumerate(ratios):
        joint = " and " if position else ""
        parts += [Part(joint), Part(f"{ratio:.2f} times", key), Part(f" its value for the {key}")]
    below = [key for key, ratio in ratios if ratio < 1]
    return (*parts, Part(f". It is below that floor for the {' and the '.join(below)}." if below else "."))


def _tile(label: str, group: GroupSummary, metric: str, accent: str) -> Tile:
    estimate = group.metrics[metric]
    return Tile(label, number(estimate.mean), span(estimate), f"{metric_name(metric)}, {people(group.users)}", accent)


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
