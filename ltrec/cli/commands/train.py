"""`ltrec train CONF.yaml... key=value...`: alone, or one process of several under torchrun."""

from __future__ import annotations

import shutil
from dataclasses import replace
from typing import Annotated

import typer

from ltrec.cli.json_answers import train_answer
from ltrec.config.load import dump, load, split_arguments
from ltrec.config.tree import RunConfig
from ltrec.core.errors import UserError
from ltrec.run.evaluate import evaluate_run
from ltrec.run.folder.in_place import in_place
from ltrec.run.folder.ownership import owning
from ltrec.run.process.parent_death_signal import request_parent_death_signal_of_torchrun
from ltrec.run.process.processes import detect
from ltrec.run.process.rendezvous import tell_others
from ltrec.run.train import train as train_run
from ltrec.terminal.screen import note, say, speaking
from ltrec.training.switch_config import SwitchConfig

SMOKE_STEPS = 3


def train(
    conf: Annotated[list[str], typer.Argument(help="Config files, left to right, then key=value words.", show_default=False)],
    print_config: Annotated[bool, typer.Option("--print-config", help="Print the resolved config and stop.")] = False,
    smoke: Annotated[bool, typer.Option("--smoke", help="3 steps of everything into a throw-away run: does it all work?")] = False,
    profile: Annotated[int, typer.Option(min=0, help="Record so many steps, after a few, as a trace in the run folder.")] = 0,
    resume: Annotated[str | None, typer.Option(help="auto, never, or a checkpoint: short for resume=...")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One line of JSON on stdout, all else on stderr.")] = False,
) -> None:
    """Train a run; repeat the same command after an interruption and it goes on where it stopped."""
    files, words = split_arguments(conf)
    try:
        words += [] if resume is None else [f"resume={resume}"]
        config = load(files, words)
        if print_config:
            typer.echo(dump(config), nl=False)
            return
        config = in_place(config, files, words)
    except UserError as error:
        tell_others(error)
        raise
    with speaking(for_scripts=as_json) as screen:
        if smoke:
            _smoke(config)
            return
        request_parent_death_signal_of_torchrun()
        run = train_run(config, profile=profile)
        if detect().world.rank == 0:
            screen.say(f"run folder: {run.path}")
            screen.say(f"next: ltrec evaluate {run.path}")
            screen.answer(train_answer(config, run) if as_json else {})


def _smoke(config: RunConfig) -> None:
    """Three steps, a validation, a checkpoint, a resume, and the evaluation of that checkpoint."""
    processes = detect()
    short = replace(
        config,
        name=f"{config.name}-smoke",
        resume="auto",
        tracking=replace(config.tracking, wandb="off" if config.tracking.wandb == "off" else "offline"),
        trainer=replace(
            config.trainer, max_epochs=1, max_steps=-1, validate_every_epochs=1, log_every_steps=1, checkpoint_every_steps=2
        ),
        switch=config.switch if config.trained_plugin.name == "none" else _soon(config.switch),
    )
    run = train_run(short, steps_per_epoch=SMOKE_STEPS, afresh=True)  # whatever a failed attempt left
    again = replace(short, trainer=replace(short.trainer, max_epochs=2))
    train_run(again, steps_per_epoch=SMOKE_STEPS)
    if processes.world.size == 1:
        evaluate_run(run, "valid", "last", processes)
    if processes.world.rank == 0:
        with owning(run, note):
            shutil.rmtree(run.path)
        say("smoke test passed: training, validation, checkpoint, resume, evaluation")


def _soon(switch: SwitchConfig) -> SwitchConfig:
    """A switch inside the smoke test's first run, unless plugins are awake from the start."""
    steps = SMOKE_STEPS if switch.by == "share" and switch.at else switch.at
    return replace(switch, by="step", at=min(steps, SMOKE_STEPS - 1))
