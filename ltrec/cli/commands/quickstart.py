"""`ltrec quickstart`: fetch, prepare, train, evaluate, report. The same commands a user would type, with the same effect."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ltrec.cli.commands.evaluate import evaluate
from ltrec.cli.commands.fetch import fetch
from ltrec.cli.commands.prepare import prepare
from ltrec.cli.commands.report import report
from ltrec.cli.commands.train import train
from ltrec.config.files import method_file
from ltrec.config.load import load, split_arguments
from ltrec.core.errors import UserError, nearest
from ltrec.core.extension.extras import require
from ltrec.terminal.screen import Screen, open_screen

DATASETS = ("ml-100k", "synthetic")
BASE = "joint"


def quickstart(
    dataset: Annotated[str, typer.Option(help="ml-100k, or synthetic where there is no network.")] = "ml-100k",
    method: Annotated[str, typer.Option(help="A file of conf/method or its zoo, held against joint training.")] = "recommended",
    smoke: Annotated[bool, typer.Option("--smoke", help="One short epoch each: does the whole way work?")] = False,
) -> None:
    """From nothing to a report: SASRec trained jointly, SASRec with the recommended method, what the gate says of head and tail.

    One seed each, so the gate will call the difference inconclusive whatever it is: what two seeds of one config differ by
    can be as large. Everything lands in data/ and runs/ of the current folder; a second call goes on where the first stopped.
    """
    if dataset not in DATASETS:
        raise UserError(f"--dataset {dataset!r} is unknown{nearest(dataset, DATASETS)}; choose from {', '.join(DATASETS)}")
    if method == BASE:
        raise UserError(f"--method {BASE} is what methods are held against; choose another file of conf/method, such as pin")
    raw = Path("data/raw") / dataset / "events.parquet"
    words = {name: _training(dataset, name) for name in (BASE, method)}
    short = ["trainer.max_epochs=1"] if smoke else []
    require("report", "the report")
    # Loaded here for the refusal of a method that is not there, before anything is fetched.
    run, base = (Path("runs") / load(*split_arguments(words[name])).name for name in (method, BASE))

    with open_screen() as screen:
        _say(screen, 1, "fetch", f"ltrec fetch {dataset}")
        if raw.exists():
            screen.say(f"{raw} is there already")
        else:
            fetch(dataset)
        _say(screen, 2, "prepare", f"ltrec prepare conf/data/{dataset}.yaml")
        prepare([f"conf/data/{dataset}.yaml"])
        for name, arguments in words.items():
            _say(screen, 3, f"train, {name}", f"ltrec train {' '.join(arguments)}")
            train([*arguments, *short])
        _say(screen, 4, "evaluate", f"ltrec evaluate {run} --compare {base}")
        evaluate([str(run)], compare=[base])
        _say(screen, 5, "report", f"ltrec report {run} {base}")
        report([str(run), str(base)])


def _training(dataset: str, method: str) -> list[str]:
    """What follows `ltrec train`."""
    return [
        f"conf/data/{dataset}.yaml",
        "conf/experiment/quickstart.yaml",
        method_file(method),
        f"name=quickstart-{method}",
    ]


def _say(screen: Screen, number: int, title: str, command: str) -> None:
    screen.lines.rule(f"{number}/5 {title}", align="left")
    screen.say(f"$ {command}", "dim")
