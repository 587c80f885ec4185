"""Cautions: what the reader must know before trusting the figures. They are on the first screen, below the reasons of the verdict.

A caution is one sentence. Each kind has a function that takes the method in question, the rivals, or both, and returns sentences;
`cautions` concatenates them in reading order.
"""

from __future__ import annotations

from collections.abc import Sequence

from ltrec.core.columns import NO_STRATUM
from ltrec.core.counting import counted
from ltrec.data.stream.quarantine.ledger import Ledger
from ltrec.evaluation.training_facts import budget_line, convergence_lines
from ltrec.reporting.method import Method
from ltrec.reporting.sentences import capital

FEW = 10
"""A tail has users with fewer training events than this. Common filters (LTP's protocol, MovieLens) leave such users out."""


def cautions(mine: Method, rivals: Sequence[Method]) -> tuple[str, ...]:
    """Every caution about the methods on the page, `mine` first."""
    every = [mine, *rivals]
    return (*undertrained(mine, rivals), *no_tail(mine), *replaced_users(every), *cut_short(every), *origin_lost(every))


def no_tail(mine: Method) -> tuple[str, ...]:
    """The log has no users with few events, so its least active users are not a tail. Cold users do not count."""
    split = mine.runs[0].split()
    if split is None:
        return ()
    activity = mine.tables(split)[0].column("activity")
    warm = activity[activity > 0]
    if warm.size == 0 or (least := int(warm.min())) < FEW:
        return ()
    return (
        f"No user here has fewer than {least} training events: this log has no tail and says little of what methods do for one.",
    )


def undertrained(mine: Method, rivals: Sequence[Method]) -> tuple[str, ...]:
    """Methods that had not converged when they were evaluated, and rivals with another training budget."""
    split = mine.runs[0].split()
    if split is None:
        return ()
    tables, others = mine.tables(split), [rival.tables(split) for rival in rivals]
    unequal = [capital(line) for other in others if (line := budget_line(other, tables)) is not None]
    return tuple(f"{line}." for line in (*convergence_lines([t for side in (tables, *others) for t in side]), *unequal))


def replaced_users(found: Sequence[Method]) -> tuple[str, ...]:
    """Runs that were trained without the users of damaged row groups."""
    return tuple(_without(run.name, run.quarantine) for method in found for run in method.runs if run.quarantine)


def _without(name: str, ledger: Ledger) -> str:
    users: dict[int, int] = {}
    for entry in ledger:
        users[entry.stratum] = users.get(entry.stratum, 0) + entry.users
    each = ", ".join(f"{count:,} of {'no stratum' if z == NO_STRATUM else f'stratum {z}'}" for z, count in sorted(users.items()))
    rows = sum(entry.replaced for entry in ledger)
    return (
        f"{name} was trained without the users of {counted(len(ledger), 'damaged row group')} ({each}): others of the same strata "
        f"took their places in {counted(rows, 'row')} of its batches; quarantine.json names them."
    )


def origin_lost(found: Sequence[Method]) -> tuple[str, ...]:
    """Runs whose provenance cannot be read."""
    return tuple(
        f"{run.name}'s provenance.json is damaged ({run.lost}) and left out." for method in found for run in method.runs if run.lost
    )


def cut_short(found: Sequence[Method]) -> tuple[str, ...]:
    """Runs whose log ends in the middle of a line."""
    return tuple(
        f"The last line of {run.name}'s metrics.jsonl is incomplete (the run was stopped while writing it) and is not shown."
        for method in found
        for run in method.runs
        if run.history is not None and run.history.cut_short
    )
