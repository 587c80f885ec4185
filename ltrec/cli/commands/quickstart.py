"""`ltrec quickstart`: fetch, prepare, train, evaluate, report, by the commands that a user would type."""

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
    dataset: Annotated[str, typer.Option(help="ml-100k, or synthetic without a network.")] = "ml-100k",
    method: Annotated[str, typer.Option(help="A file of conf/method or its zoo, compared with joint training.")] = "recommended",
    smoke: Annotated[bool, typer.Option("--smoke", help="One short epoch each, to test the installation.")] = False,
) -> None:
    """From nothing to a report: SASRec trained jointly and by the recommended method, and the gate's verdict on head and tail.

    There is one seed each, so the verdict is always inconclusive: two seeds of the same config can differ as much. Everything is
    written to data/ and runs/ of the current folder; a second call resumes where the first stopped.
    """
    if dataset not in DATASETS:
        raise UserError(f"--dataset {dataset!r} is unknown{nearest(dataset, DATASETS)}; choose from {', '.join(DATASETS)}")
    if method == BASE:
        raise UserError(f"--method {BASE} is what methods are compared with; choose another file of conf/method, such as pin")
    raw = Path("data/raw") / dataset / "events.parquet"
    commands = {name: _training(dataset, name) for name in (BASE, method)}
    short = ["trainer.max_epochs=1"] if smoke else []
    require("report", "the report")
    # Loaded here, so that an unknown method is refused before anything is fetched.
    run, base = (Path("runs") / load(*split_arguments(commands[name])).name for name in (method, BASE))

    with open_screen() as screen:
        _say(screen, 1, "fetch", f"ltrec fetch {dataset}")
        if raw.exists():
            screen.say(f"{raw} exists already")
        else:
            fetch(dataset)
        _say(screen, 2, "prepare", f"ltrec prepare conf/data/{dataset}.yaml")
        prepare([f"conf/data/{dataset}.yaml"])
        for name, arguments in commands.items():
            _say(screen, 3, f"train, {name}", f"ltrec train {' '.join(arguments)}")
            train([*arguments, *short])
        _say(screen, 4, "evaluate", f"ltrec evaluate {run} --compare {base}")
        evaluate([str(run)], compare=[base])
        _say(screen, 5, "report", f"ltrec report {run} {base}")
        report([str(run), str(base)])


def _training(dataset: str, method: str) -> list[str]:
    """Arguments of `ltrec train`."""
    return [
        f"conf/data/{dataset}.yaml",
        "conf/experiment/quickstart.yaml",
        method_file(method),
        f"name=quickstart-{method}",
    ]


def _say(screen: Screen, number: int, title: str, command: str) -> None:
    screen.lines.rule(f"{number}/5 {title}", align="left")
    screen.say(f"$ {command}", "dim")
