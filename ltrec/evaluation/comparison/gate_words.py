"""The gate in words, the same on the screen and on the page: what each side shows, its p-value, and what would decide it.

A p-value is said with the hypothesis it speaks of, for the two sides test different ones: "p = .003 that the tail does not gain".
Read: were that so, a result this good or better would come up in so large a share of repetitions.
"""

from __future__ import annotations

from ltrec.core.counting import counted
from ltrec.evaluation.comparison.verdict import FAIL, INCONCLUSIVE, PASS, DatasetVerdict, Gate, Side
from ltrec.evaluation.metrics import title_of
from ltrec.evaluation.statistics.power import MOST_SEEDS, POWER


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


def pretty(metric: str) -> str:
    """``ndcg@10`` -> ``NDCG@10``; what is no metric stays."""
    return title_of(metric) or metric


def share(change: float, base: float) -> str:
    """A change as a share of its base, ``+3.2%``; as it is, ``+0.0012``, where the base is 0."""
    return f"{change / base:+.1%}" if base else f"{change:+.4f}"


def probability(p: float) -> str:
    """``p = .003``; what three digits cannot show is ``p < .001`` or ``p > .999``."""
    if p < 0.001:
        return "p < .001"
    if 0.999 < p < 1:
        return "p > .999"
    return "p = 1" if p == 1 else f"p = {p:.3f}".replace("0.", ".")


def tail_test(side: Side) -> str:
    """The tail's p-value and what it is of."""
    return f"{probability(side.p)} that the tail does not gain"


def head_test(side: Side, gate: Gate) -> str:
    """The head's p-value and what it is of."""
    return f"{probability(side.p)} that the head loses more than {gate.margin:.0%}"


def tail_told(side: Side, metric: str) -> str:
    """``the tail gained 3.2% NDCG@10``, as far as it is shown."""
    seen = share(side.change, side.base)
    return {
        PASS: f"the tail gained {share(abs(side.change), side.base).lstrip('+')} {metric}",
        FAIL: f"the tail lost {share(abs(side.change), side.base).lstrip('+')} {metric}",
        INCONCLUSIVE: f"the tail changed by {seen} {metric}, which may be chance",
    }[side.verdict]


def head_told(side: Side, gate: Gate) -> str:
    """``the head kept within the allowed 5%``, as far as it is shown."""
    return {
        PASS: f"the head kept within the allowed {gate.margin:.0%}",
        FAIL: f"the head lost more than the allowed {gate.margin:.0%}",
        INCONCLUSIVE: f"a head loss beyond the allowed {gate.margin:.0%} is neither shown nor ruled out",
    }[side.verdict]


def too_few_seeds(verdict: DatasetVerdict) -> str:
    """Why a data set with `seeds_missing` is not judged, and the way out."""
    have = "One training seed" if verdict.seeds == 1 else f"{verdict.seeds} training seeds"
    more = counted(verdict.seeds_missing, "more seed")
    return f"{have} a side cannot tell the method from luck; train {more}."


def deciding(verdict: DatasetVerdict) -> tuple[str, ...]:
    """For each side that is inconclusive, what would decide it."""
    sides = (("tail", verdict.tail), ("head", verdict.head))
    return tuple(_needs(name, side) for name, side in sides if side.verdict == INCONCLUSIVE)


def undecidable(name: str) -> str:
    """What to say of an inconclusive side (`name`: tail, head) for which `Side` has no number of users and none of seeds."""
    alone = f"More users alone, or more seeds alone (up to {MOST_SEEDS:,}),"
    return f"{alone} would not decide the {name}: what is seen is too near the line."


def _needs(name: str, side: Side) -> str:
    ways = [f"{counted(side.users_to_decide, 'user')} in all"] if side.users_to_decide else []
    ways += [counted(side.seeds_to_decide, "seed")] if side.seeds_to_decide else []
    if not ways:
        return undecidable(name)
    return f"To decide the {name} takes about {' or '.join(ways)} (power {POWER:.0%}, if the effect is as seen)."
