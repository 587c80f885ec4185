"""`ltrec evaluate RUN...`: metrics by stratum with intervals; `--compare` tests them against other runs by the gate."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import ltrec
from ltrec.cli.options import AsJson, Checkpoint, Data, Weights
from ltrec.core.extension.deferred import Deferred
from ltrec.run.process.allocator import keep_freed_memory
from ltrec.terminal.screen import open_screen

if TYPE_CHECKING:
    from ltrec.cli.evaluation_screen import print_evaluation
else:
    print_evaluation = Deferred("ltrec.cli.evaluation_screen:print_evaluation")


def evaluate(
    runs: Annotated[
        list[str],
        typer.Argument(help="Run folders; several = seeds of one method. Then evaluation.key=value overrides.", show_default=False),
    ],
    compare: Annotated[
        list[Path] | None, typer.Option(help="Run folder of the baseline; repeat it for several seeds, in the same order.")
    ] = None,
    split: Annotated[str, typer.Option(help="test or valid.")] = "test",
    checkpoint: Checkpoint = "best",
    data: Data = None,
    weights: Weights = None,
    as_json: AsJson = False,
) -> None:
    """Rank every user's target, report metrics by activity stratum, and compare runs by the gate."""
    keep_freed_memory()
    with open_screen(for_scripts=as_json) as screen:
        found = ltrec.evaluate(*runs, compare=compare or (), split=split, checkpoint=checkpoint, data=data, weights=weights)
        if found.runs:
            print_evaluation(found, screen)
            screen.print_json(found.to_dict())
