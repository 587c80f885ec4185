"""What must be known before a figure of the page is believed: said on its first screen, right under the verdict's reasons.

A caution is one sentence. Each kind has a function that takes the method in question, the rivals, or both, and gives the sentences;
`cautions` strings them together in the order in which they should be read.
"""

from __future__ import annotations

from collections.abc import Sequence

from ltrec.evaluation.report_method import Method


def cautions(mine: Method, rivals: Sequence[Method]) -> tuple[str, ...]:
    """Every caution about the methods on the page, `mine` first."""
    return cut_short([mine, *rivals])


def cut_short(found: Sequence[Method]) -> tuple[str, ...]:
    """Runs whose log ends in the middle of a line."""
    return tuple(
        f"The last line of {run.name}'s metrics.jsonl is incomplete (the run was stopped while writing it) and is not shown."
        for method in found
        for run in method.runs
        if run.history is not None and run.history.cut_short
    )
