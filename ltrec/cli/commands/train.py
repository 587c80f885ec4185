"""`ltrec train CONF.yaml... key=value...`: in one process, or in several under torchrun."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

import ltrec
from ltrec.cli.options import AsJson, Conf, Profile
from ltrec.config.load import dump
from ltrec.core.extension.deferred import Deferred
from ltrec.run.process.allocator import keep_freed_memory
from ltrec.run.process.detect import detect
from ltrec.run.process.parent_death_signal import request_parent_death_signal_of_torchrun
from ltrec.terminal.screen import open_screen

if TYPE_CHECKING:
    from ltrec.run.smoke import smoke_test
else:
    smoke_test = Deferred("ltrec.run.smoke:smoke_test")


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
            typer.echo(dump(ltrec.load_config(*settings)), nl=False)
            return
        if smoke:
            smoke_test(ltrec.load_config(*settings))
            return
        request_parent_death_signal_of_torchrun()
        keep_freed_memory()
        run = ltrec.train(*settings, profile=profile)
        if detect().world.rank == 0:
            screen.say(f"run folder: {run.path}")
            screen.say(f"next: ltrec evaluate {run.path}")
            screen.print_json(run.to_dict() if as_json else {})
