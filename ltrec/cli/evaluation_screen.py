"""An evaluation on the screen: the main results, and where the others are."""

from __future__ import annotations

from dataclasses import replace

from ltrec.api.results.evaluation import Evaluation
from ltrec.cli.evaluation_tables import (
    print_baselines,
    print_comparison,
    print_convergence,
    print_gate,
    print_ranked,
    print_seeds,
    print_summaries,
)
from ltrec.core.errors import UserError
from ltrec.core.storage.run_folder import RunFolder
from ltrec.evaluation.groups.reach import reach_line
from ltrec.terminal.screen import Screen


def print_evaluation(found: Evaluation, screen: Screen) -> None:
    """Print the metrics of the first run, or the comparison with others and the gate's verdict.

    Raises:
        UserError: the gate cannot judge these runs.
    """
    first, everyone = found.runs[0], [*found.runs, *found.rivals]
    if len(found.runs) > 1 and not found.rivals:
        print_seeds([replace(run.summary, name=run.path.name) for run in found.runs], screen)
    if found.comparison is not None:
        _print_comparison(found, screen)
    else:
        print_summaries(first.summaries, screen)
    if line := reach_line(first.table, first.config.evaluation):
        screen.say(line, "dim")
    for run in everyone:
        print_ranked(run.table, f" of {run.path}" if len(everyone) > 1 else "", screen)
        if not found.rivals:
            print_convergence(run.table, screen)
    screen.say(f"all metrics: {', '.join(str(RunFolder(run.path).eval_summary(found.split)) for run in found.runs)}")
    screen.say(f"user strata x items, curves: ltrec report {' '.join(str(run.path) for run in everyone)}")


def _print_comparison(found: Evaluation, screen: Screen) -> None:
    assert found.comparison is not None
    print_baselines(found.runs[0].summaries, screen)
    print_comparison(found.comparison, screen)
    if found.gate is None:
        raise UserError(found.refusal)
    print_gate(found.gate, screen)
    screen.say(f"the comparison in every metric: {found.judgement}")
