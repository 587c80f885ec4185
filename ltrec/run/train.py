"""Train: check and open everything (`preflight`), fit with Lightning, and count the memory of a run that has one."""

from __future__ import annotations

import logging
import warnings
from contextlib import AbstractContextManager, ExitStack, nullcontext

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback

from ltrec.config.keys.arguments import speaking_keys
from ltrec.config.tree import RunConfig
from ltrec.core.storage.run_folder import RunFolder
from ltrec.run.build.components import open_data
from ltrec.run.build.loggers import tracking_loggers
from ltrec.run.callbacks import build_callbacks
from ltrec.run.checkpoint.find_checkpoint import find_checkpoint
from ltrec.run.checkpoint.restore_check import RestoreCheck, explain_restore_errors
from ltrec.run.preflight import ReadyRun, accelerator_of, run_preflight
from ltrec.run.process.crash_file import traceback_in
from ltrec.run.process.lightning_environment import cluster_environment
from ltrec.run.process.processes import process_group
from ltrec.run.process.rendezvous_env import Processes
from ltrec.run.progress.progress_printer import ProgressPrinter
from ltrec.run.scoring.memory import memory_of
from ltrec.terminal.progress_row import PhaseBar
from ltrec.terminal.screen import open_screen, screen
from ltrec.tracking.jsonl import JsonlLogger
from ltrec.training.callbacks import in_order
from ltrec.training.callbacks.checkpoints import Checkpoints
from ltrec.training.checkpoints.atomic_io import AtomicCheckpointIO
from ltrec.training.stop_signals import NOTHING, StopRequest, catch_stop_signals

# Warnings about our design that no user needs to act on.
_EXPECTED = (
    "It is recommended to use `self.log",  # metrics are equal on every rank before they are logged
    "The number of training batches",  # we log by our own counter
    ".*treespec, LeafSpec",  # inside Lightning, about torch
    "Total length of `RankChunks` across ranks is zero",  # ProgressPrinter says so
    "The `srun` command is available",  # this run was not started with it
    "You're resuming from a checkpoint that ended before the epoch ended",  # our cursor is the data module's
)

# Lightning's device report, tips and "fit stopped": ProgressPrinter prints what matters.
_CHATTY = ("pytorch_lightning.utilities.rank_zero", "pytorch_lightning.accelerators.cuda", "lightning_fabric.utilities.distributed")


def train(config: RunConfig, *, steps_per_epoch: int | None = None, disposable: bool = False, profile: int = 0) -> RunFolder:
    """Train a run to its end, resuming when its folder holds a checkpoint. Returns the run folder.

    Args:
        config: the resolved run.
        steps_per_epoch: cut epochs to this many steps (smoke test).
        disposable: a smoke test, which starts over whatever an earlier attempt left.
        profile: steps to record as a trace in the run folder; 0 = none.

    Raises:
        UserError: anything that the user can correct: missing data, wrong world size, another run in the folder, ...
        Stopped: training was asked to stop, and saved a checkpoint.
    """
    with speaking_keys(config), catch_stop_signals() as stop, open_screen(), ExitStack() as exit_stack:
        ready = run_preflight(config, stop, exit_stack, limit=steps_per_epoch, disposable=disposable)
        if ready.finished is None:
            _fit(config, ready, stop, steps_per_epoch, profile)
        elif ready.processes.world.rank == 0:
            screen().say(ready.finished)
        if config.memory is not None:
            _make_memory(config, ready, stop)
        return ready.run


def _fit(config: RunConfig, ready: ReadyRun, stop: StopRequest, limit: int | None, profile: int) -> None:
    for chatty in _CHATTY:
        logging.getLogger(chatty).setLevel(logging.WARNING)
    run = ready.run
    with warnings.catch_warnings():
        for message in _EXPECTED:
            warnings.filterwarnings("ignore", message=message)
        progress_printer = ProgressPrinter(config.trainer.monitor, lambda: stop.kind != NOTHING)
        restored, metrics = RestoreCheck(ready.resume), JsonlLogger(run.metrics)
        callbacks = [restored, progress_printer, *build_callbacks(config, ready, metrics, stop, profile=profile)]
        trainer = make_trainer(config, ready, metrics, callbacks, limit=limit)
        rows = _progress_rows(config, progress_printer, ready.processes)
        try:
            with traceback_in(run.path), explain_restore_errors(restored), rows:
                trainer.fit(ready.module, datamodule=ready.datamodule, ckpt_path=ready.resume, weights_only=True)
        except SystemExit:  # raised by Lightning after a second Ctrl-C
            raise KeyboardInterrupt(interruption_message(trainer, run)) from None


def _make_memory(config: RunConfig, ready: ReadyRun, stop: StopRequest) -> None:
    """Count the memory, and choose its weight beside the best checkpoint. A run killed here does so when it is repeated."""
    stop.training = False  # everything is saved: Ctrl-C may end at once
    run, processes = ready.run, ready.processes
    with traceback_in(run.path), process_group(processes), PhaseBar(screen(), quiet=processes.world.rank > 0) as bar:
        memory_of(run, config, open_data(config), find_checkpoint(run, "best"), processes, bar.update)


def make_trainer(
    config: RunConfig, ready: ReadyRun, metrics: JsonlLogger, callbacks: list[Callback], *, limit: int | None
) -> pl.Trainer:
    """The Lightning trainer of a run."""
    loop, run, processes = config.trainer, ready.run, ready.processes
    return pl.Trainer(
        accelerator=accelerator_of(config),
        devices=processes.local_size,
        num_nodes=processes.num_nodes,
        strategy=ready.strategy,
        precision=loop.precision,
        max_epochs=loop.max_epochs,
        limit_train_batches=None if limit is None else limit * loop.accumulate,
        accumulate_grad_batches=loop.accumulate,
        gradient_clip_val=config.optim.clip_norm or None,
        check_val_every_n_epoch=loop.validate_every_epochs,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        logger=[metrics, *tracking_loggers(config, run, processes)],
        callbacks=in_order(callbacks),
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=False,
        plugins=[AtomicCheckpointIO(), cluster_environment()],
        default_root_dir=run.path,
    )


def _progress_rows(config: RunConfig, progress_printer: ProgressPrinter, processes: Processes) -> AbstractContextManager[None]:
    """The rows at the bottom of the terminal, on rank 0."""
    wanted = config.trainer.progress and processes.world.rank == 0
    return screen().footer(progress_printer.rows) if wanted else nullcontext()


def interruption_message(trainer: pl.Trainer, run: RunFolder) -> str:
    """The message of a run that was interrupted between two checkpoints: what is saved."""
    saved = next(callback for callback in trainer.callbacks if isinstance(callback, Checkpoints))  # type: ignore[attr-defined]
    last = run.last
    if not last.exists():
        return f"interrupted at step {trainer.global_step}; no checkpoint yet; repeat the command to start over"
    step = f", step {saved.last_step}" if saved.last_step >= 0 else ", with which this attempt started"
    return f"interrupted at step {trainer.global_step}; saved: {last}{step}; repeat the command to resume"
