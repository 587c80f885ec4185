"""`ltrec quickstart`: fetch, prepare, train, evaluate, report. The same commands a user would type, with the same effect."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from ltrec.core.errors import UserError, nearest
from ltrec.launch.commands.evaluate import evaluate
from ltrec.launch.commands.fetch import fetch
from ltrec.launch.commands.prepare import prepare
from ltrec.launch.commands.report import report
from ltrec.launch.commands.train import train

DATASETS = ("ml-100k", "synthetic")


def quickstart(
    dataset: Annotated[str, typer.Option(help="ml-100k, or synthetic where there is no network.")] = "ml-100k",
    smoke: Annotated[bool, typer.Option("--smoke", help="One short epoch each: does the whole way work?")] = False,
) -> None:
    """From nothing to a report: how well are head and tail users of MovieLens-100K served by a properly trained SASRec?

    Two seeds are trained and held against each other: what the gate says of two runs that differ by nothing but chance is
    the first thing to know about it. Everything lands in data/ and runs/ of the current folder; a second call goes on where
    the first stopped.
    """
    if dataset not in DATASETS:
        raise UserError(f"--dataset {dataset!r} is unknown{nearest(dataset, DATASETS)}; choose from {', '.join(DATASETS)}")
    console = Console()
    raw, runs = Path("data/raw") / dataset / "events.parquet", [Path("runs/quickstart"), Path("runs/quickstart-again")]
    short = ["trainer.max_epochs=1"] if smoke else []

    _say(console, 1, "fetch", f"ltrec fetch {dataset}")
    if raw.exists():
        console.print(f"{raw} is there already", highlight=False)
    else:
        fetch(dataset)
    _say(console, 2, "prepare", f"ltrec prepare conf/data/{dataset}.yaml")
    prepare([f"conf/data/{dataset}.yaml"])
    for seed, run in enumerate(runs):
        words = [f"conf/data/{dataset}.yaml", "conf/experiment/quickstart.yaml", f"name={run.name}", f"seed={seed}"]
        _say(console, 3, f"train, seed {seed}", f"ltrec train {' '.join(words)}")
        train([*words, *short])
    _say(console, 4, "evaluate", f"ltrec evaluate {runs[0]} --compare {runs[1]}")
    evaluate([runs[0]], compare=[runs[1]])
    _say(console, 5, "report", f"ltrec report {runs[0]} {runs[1]}")
    report(runs)


def _say(console: Console, number: int, title: str, command: str) -> None:
    console.rule(f"{number}/5 {title}", align="left")
    console.print(f"$ {command}", style="dim", highlight=False, markup=False, soft_wrap=True)
