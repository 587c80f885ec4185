"""`ltrec quickstart`: fetch, prepare, train, evaluate, report. The same commands a user would type, with the same effect."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ltrec.core.errors import UserError, nearest
from ltrec.launch.commands.evaluate import evaluate
from ltrec.launch.commands.fetch import fetch
from ltrec.launch.commands.prepare import prepare
from ltrec.launch.commands.report import report
from ltrec.launch.commands.train import train
from ltrec.launch.screen import Screen, speaking

DATASETS = ("ml-100k", "synthetic")
METHODS = ("joint", "pin")


def quickstart(
    dataset: Annotated[str, typer.Option(help="ml-100k, or synthetic where there is no network.")] = "ml-100k",
    smoke: Annotated[bool, typer.Option("--smoke", help="One short epoch each: does the whole way work?")] = False,
) -> None:
    """From nothing to a report: SASRec trained jointly, SASRec trained with PIN, and what the gate says of head and tail users.

    One seed each, so the gate will call the difference inconclusive whatever it is: what two seeds of one config differ by
    can be as large. Everything lands in data/ and runs/ of the current folder; a second call goes on where the first stopped.
    """
    if dataset not in DATASETS:
        raise UserError(f"--dataset {dataset!r} is unknown{nearest(dataset, DATASETS)}; choose from {', '.join(DATASETS)}")
    raw, runs = Path("data/raw") / dataset / "events.parquet", {m: Path("runs") / f"quickstart-{m}" for m in METHODS}
    short = ["trainer.max_epochs=1"] if smoke else []

    with speaking() as screen:
        _say(screen, 1, "fetch", f"ltrec fetch {dataset}")
        if raw.exists():
            screen.say(f"{raw} is there already")
        else:
            fetch(dataset)
        _say(screen, 2, "prepare", f"ltrec prepare conf/data/{dataset}.yaml")
        prepare([f"conf/data/{dataset}.yaml"])
        for method, run in runs.items():
            words = [
                f"conf/data/{dataset}.yaml",
                "conf/experiment/quickstart.yaml",
                f"conf/method/{method}.yaml",
                f"name={run.name}",
            ]
            _say(screen, 3, f"train, {method}", f"ltrec train {' '.join(words)}")
            train([*words, *short])
        _say(screen, 4, "evaluate", f"ltrec evaluate {runs['pin']} --compare {runs['joint']}")
        evaluate([str(runs["pin"])], compare=[runs["joint"]])
        _say(screen, 5, "report", f"ltrec report {runs['pin']} {runs['joint']}")
        report([str(runs["pin"]), str(runs["joint"])])


def _say(screen: Screen, number: int, title: str, command: str) -> None:
    screen.lines.rule(f"{number}/5 {title}", align="left")
    screen.say(f"$ {command}", "dim")
