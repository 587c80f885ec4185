"""The gate in words: one text for the screen, the report, the API and W&B.

    Gate: PASS. pin against joint, 3 training seeds a side. The tail gained 3.2% NDCG@10 (p = .003 that the ...).

A p-value is written with its null hypothesis, because the two sides test different ones: "p = .003 that the tail does not gain"
means that, if it did not gain, a result this good or better would occur in this share of repetitions.
"""

from __future__ import annotations

from ltrec.core.counting import counted
from ltrec.evaluation.comparison.verdict import FAIL, INCONCLUSIVE, PASS, DatasetVerdict, Gate, Side
from ltrec.evaluation.metrics import metric_name
from ltrec.evaluation.statistics.power import MOST_SEEDS, POWER

FIX_SEEDS = "Fix the number of seeds before you look: testing after every new seed gives .12 to .19 false passes, not .05."


def gate_text(gate: Gate) -> str:
    """The whole verdict: a paragraph; with several data sets a line for each."""
    if len(gate.datasets) == 1:
        return f"{gate.verdict.upper()}. {dataset_text(gate, gate.datasets[0])}"
    lines = (f"{found.dataset}: {found.verdict}. {dataset_text(gate, found)}" for found in gate.datasets)
    return "\n".join((f"{gate.verdict.upper()} over {len(gate.datasets)} data sets, p-values adjusted by Holm.", *lines))


def dataset_text(gate: Gate, verdict: DatasetVerdict) -> str:
    """Which methods were compared, and the sentences about it."""
    seeds = counted(verdict.seeds, "training seed")
    return " ".join((f"{verdict.other} against {verdict.base}, {seeds} a side.", *sentences(gate, verdict)))


def sentences(gate: Gate, verdict: DatasetVerdict) -> tuple[str, ...]:
    """Whether the tail gained, whether the head lost, and what would decide what is undecided."""
    tail, head = verdict.tail, verdict.head
    tail_users, head_users = counted(tail.users, "user"), counted(head.users, "user")
    if verdict.seeds_missing:
        seen = f"{share(tail.change, tail.base)} {metric_name(gate.metric)} ({tail_users})"
        so_far = f"So far the tail changed by {seen} and the head by {share(head.change, head.base)} ({head_users})."
        return too_few_seeds(verdict), FIX_SEEDS, so_far
    worst = f"{share(head.change, head.base)}, at worst {share(head.low, head.base)}"
    return (
        f"{tail_shows(tail, metric_name(gate.metric))} ({tail_test(tail)}; {tail_users}).",
        f"{head_shows(head, gate)} ({worst}; {head_test(head, gate)}; {head_users}).",
        *deciding(verdict),
    )


def share(change: float, base: float) -> str:
    """A change as a share of its base, ``+3.2%``; absolute, ``+0.0012``, if the base is 0."""
    return f"{change / base:+.1%}" if base else f"{change:+.4f}"


def probability(p: float) -> str:
    """``p = .003``; beyond three digits ``p < .001`` or ``p > .999``."""
    if p < 0.001:
        return "p < .001"
    if 0.999 < p < 1:
        return "p > .999"
    return "p = 1" if p == 1 else f"p = {p:.3f}".replace("0.", ".")


def tail_test(side: Side) -> str:
    """The tail's p-value with its hypothesis."""
    return f"{probability(side.p)} that the tail does not gain"


def head_test(side: Side, gate: Gate) -> str:
    """The head's p-value with its hypothesis."""
    return f"{probability(side.p)} that the head loses more than {gate.margin:.0%}"


def tail_shows(side: Side, metric: str) -> str:
    """What is shown about the tail: ``The tail gained 3.2% NDCG@10``."""
    seen = share(side.change, side.base)
    return {
        PASS: f"The tail gained {share(abs(side.change), side.base).lstrip('+')} {metric}",
        FAIL: f"The tail lost {share(abs(side.change), side.base).lstrip('+')} {metric}",
        INCONCLUSIVE: f"The tail changed by {seen} {metric}, which may be chance",
    }[side.verdict]


def head_shows(side: Side, gate: Gate) -> str:
    """What is shown about the head: ``The head kept within the allowed 5%``."""
    return {
        PASS: f"The head kept within the allowed {gate.margin:.0%}",
        FAIL: f"The head lost more than the allowed {gate.margin:.0%}",
        INCONCLUSIVE: f"A head loss beyond the allowed {gate.margin:.0%} is neither shown nor ruled out",
    }[side.verdict]


def too_few_seeds(verdict: DatasetVerdict) -> str:
    """Why a data set with `seeds_missing` is not judged, and what to do."""
    have = "One training seed" if verdict.seeds == 1 else f"{verdict.seeds} training seeds"
    more = counted(verdict.seeds_missing, "more seed")
    return f"{have} a side cannot tell the method from luck; train {more}."


def deciding(verdict: DatasetVerdict) -> tuple[str, ...]:
    """For each inconclusive side, what would decide it; if more seeds would, also that their number must be fixed first."""
    sides = (("tail", verdict.tail), ("head", verdict.head))
    ways = [_needs(name, side) for name, side in sides if side.verdict == INCONCLUSIVE]
    return (*ways, *([FIX_SEEDS] if ways else []))


def undecidable(name: str) -> str:
    """The sentence for an inconclusive side (`name`: tail, head) that no number of users or seeds would decide."""
    alone = f"More users alone, or more seeds alone (up to {MOST_SEEDS:,}),"
    return f"{alone} would not decide the {name}: what is seen is too near the line."


def _needs(name: str, side: Side) -> str:
    ways = [f"{counted(side.users_to_decide, 'user')} in all"] if side.users_to_decide else []
    ways += [counted(side.seeds_to_decide, "seed")] if side.seeds_to_decide else []
    if not ways:
        return undecidable(name)
    return f"To decide the {name} takes about {' or '.join(ways)} (power {POWER:.0%}, if the effect is as seen)."
