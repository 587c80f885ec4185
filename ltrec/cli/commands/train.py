"""`ltrec train CONF.yaml... key=value...`: in one process, or in several under torchrun."""

from __future__ import annotations

from typing import Annotated

import typer

from ltrec.api.train import load_config
from ltrec.api.train import train as train_run
from ltrec.cli.options import AsJson, Conf, Profile
from ltrec.config.load import dump
from ltrec.run.process.parent_death_signal import request_parent_death_signal_of_torchrun
from ltrec.run.process.processes import detect
from ltrec.run.smoke import smoke_test
from ltrec.terminal.screen import open_screen


def train(
    conf: Conf,
    print_config: Annotated[bool, typer.Option("--print-config", help="Print the resolved config and stop.")] = False,
    smoke: Annotated[
        bool, typer.Option("--smoke", help="Test everything with 3 steps in a run that is removed afterwards.")
    ] = False,
    profile: Profile = 0,
    resume: Annotated[str | None, typer.Option(help="auto, never, or a checkpoint: short for resume=...")] = None,
    as_json: AsJson = False,
) -> None:
    """Train a run. Repeat the command after an interruption to resume where it stopped."""
    settings = conf if resume is None else [*conf, f"resume={resume}"]
    with open_screen(for_scripts=as_json) as screen:
        if print_config:
            typer.echo(dump(load_config(*settings)), nl=False)
            return
        if smoke:
            smoke_test(load_config(*settings))
            return
        request_parent_death_signal_of_torchrun()
        run = train_run(*settings, profile=profile)
        if detect().world.rank == 0:
            screen.say(f"run folder: {run.path}")
            screen.say(f"next: ltrec evaluate {run.path}")
            screen.print_json(run.to_dict() if as_json else {})
