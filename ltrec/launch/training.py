"""Train: open the data, open the run folder, hand both to Lightning."""

from __future__ import annotations

import logging
import sys
import warnings
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.strategies import Strategy

from ltrec.config.tree import RunConfig
from ltrec.core.errors import UserError
from ltrec.core.slots import LAST, go_back
from ltrec.launch.build import build_datamodule, build_plan, build_stage, check_world, open_data, total_steps
from ltrec.launch.combinations import refuse_combinations
from ltrec.launch.crash import traceback_in
from ltrec.launch.guests import guests, say
from ltrec.launch.latest import read_start
from ltrec.launch.monitoring import not_validated, refuse_monitor
from ltrec.launch.narrator import Bar, Narrator, say_untrained, say_visits
from ltrec.launch.population import heirs_of
from ltrec.launch.processes import Processes, cluster_environment, detect
from ltrec.launch.record import record_of, refuse_other_settings
from ltrec.launch.resuming import refuse_foreign, refuse_shards
from ltrec.launch.run_folder import RunFolder, begin_run, find_run, folder_of
from ltrec.launch.starting import start_from
from ltrec.launch.strategies import build_strategy, build_stratify
from ltrec.launch.two_stages import build_switch, refuse_plugins
from ltrec.stages.callbacks import callbacks
from ltrec.stages.checkpoint_io import AtomicCheckpointIO
from ltrec.stages.consistency import RankConsistency
from ltrec.stages.preemption import listen
from ltrec.stages.profile import Profile
from ltrec.stages.signals import Asked, heeding
from ltrec.stages.steps import StepLimit
from ltrec.stages.watchdog import Watchdog
from ltrec.strategy import Stratified
from ltrec.strategy.state import RuleState
from ltrec.tracking.jsonl import JsonlLogger, what_is_wrong
from ltrec.tracking.provenance import provenance

# True of our own design, so not worth a user's attention.
_EXPECTED = (
    "It is recommended to use `self.log",  # metrics are equal on every rank before they are logged
    "The number of training batches",  # we log by our own counter
    ".*treespec, LeafSpec",  # inside Lightning, about torch
    "Total length of `RankChunks` across ranks is zero",  # the narrator says what follows from that
    "The `srun` command is available",  # it may well be; this run was not started by it
    "You're resuming from a checkpoint that ended before the epoch ended",  # our cursor is the data module's
)

# Lightning's device report, tips and "fit stopped": the narrator says what matters.
_CHATTY = ("pytorch_lightning.utilities.rank_zero", "pytorch_lightning.accelerators.cuda", "lightning_fabric.utilities.distributed")


def train(config: RunConfig, *, steps_per_epoch: int | None = None, afresh: bool = False, profile: int = 0) -> RunFolder:
    """Train a run to its end, resuming when its folder holds a checkpoint. Returns the run folder.

    Args:
        config: the resolved run.
        steps_per_epoch: cut epochs to so many steps (the smoke test).
        afresh: forget what the folder holds, and do not even look, so that ranks need not agree on it.
        profile: record so many steps as a trace in the run folder; 0 = none.

    Raises:
        UserError: for anything the user can mend: missing data, wrong world size, another run in the folder, ...
        Stopped: training was asked to stop and did, with a checkpoint.
    """
    with heeding() as asked:
        return _train(config, asked, steps_per_epoch, afresh, profile)


def _train(config: RunConfig, asked: Asked, steps_per_epoch: int | None, afresh: bool, profile: int) -> RunFolder:
    refuse_combinations(config)
    processes = detect()
    check_world(config, processes.world.size)
    accelerator_of(config)
    if config.trainer.threads:
        torch.set_num_threads(config.trainer.threads)
    data = open_data(config)
    plan = build_plan(config, data)
    refuse_plugins(config, plan, limit=steps_per_epoch)
    stage, datamodule = build_stage(config, data, plan), build_datamodule(config, data, plan, processes.world)
    refuse_monitor(config, stage.validator, datamodule.validation)
    run, resume = (folder_of(config), None) if afresh else find_run(config)
    if resume is not None:
        resume, state = read_start(run.checkpoints, resume, say if processes.world.rank == 0 else lambda _: None)
        refuse_foreign(resume, state, data.manifest.digest, stage)
        refuse_shards(resume, state, config.strategy.name)
        if resume.parent == run.checkpoints:
            refuse_other_settings(resume, state, config)
            if processes.world.rank == 0 and (wrong := what_is_wrong(run.metrics, state["metrics_bytes"], state["metrics_digest"])):
                say(f"{run.metrics} is damaged: {wrong}; training goes on, reports will not show its curves")
    started = start_from(config, stage, data.manifest.digest) if config.init_from and resume is None else None
    strategy = build_strategy(config, processes, accelerator_of(config), build_stratify(config, data, plan))
    if isinstance(strategy, Stratified):
        strategy.refuse(stage, config.trainer.accumulate)
    if processes.world.rank == 0:
        origin = provenance(data.folder, data.manifest, config.seed, processes.world.size)
        origin |= {"training_strata": plan.strata.names()}
        if resume is not None and resume.parent == run.checkpoints and resume.name != LAST:
            go_back(run.checkpoints / LAST, resume)
        begin_run(run, config, origin | ({} if started is None else {"init_from": started}), fresh=resume is None)
        say_visits(plan)
        say_untrained(plan, heirs_of(config, data.manifest))
        if steps_per_epoch is None and (line := not_validated(config, plan)):
            say(line)
    for chatty in _CHATTY:
        logging.getLogger(chatty).setLevel(logging.WARNING)
    with warnings.catch_warnings():
        for message in _EXPECTED:
            warnings.filterwarnings("ignore", message=message)
        record = record_of(config, run.run_id() if processes.world.rank == 0 else "", total_steps(config, plan))
        trainer = make_trainer(config, run, processes, strategy, limit=steps_per_epoch, record=record)
        trainer.callbacks += _observers(config, run, profile)  # type: ignore[attr-defined]
        listen(trainer, run.path, run.checkpoints / LAST, asked, every_steps=config.trainer.listen_every_steps)
        try:
            with traceback_in(run.path):
                trainer.fit(stage, datamodule=datamodule, ckpt_path=resume, weights_only=True)
        except SystemExit:  # how Lightning ends after Ctrl-C
            raise KeyboardInterrupt from None
    return run


def make_trainer(
    config: RunConfig, run: RunFolder, processes: Processes, strategy: str | Strategy, *, limit: int | None, record: dict[str, Any]
) -> pl.Trainer:
    """The Lightning trainer, wired to the run folder."""
    loop, metrics = config.trainer, JsonlLogger(run.metrics)
    return pl.Trainer(
        accelerator=accelerator_of(config),
        devices=processes.local_size,
        num_nodes=processes.num_nodes,
        strategy=strategy,
        precision=loop.precision,  # type: ignore[arg-type]
        max_epochs=loop.max_epochs,
        limit_train_batches=None if limit is None else limit * loop.accumulate,
        accumulate_grad_batches=loop.accumulate,
        gradient_clip_val=config.optim.clip_norm or None,
        check_val_every_n_epoch=loop.validate_every_epochs,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        logger=[metrics, *guests(config, run, processes)],
        callbacks=[
            StepLimit(loop.max_steps),
            *_display(config),
            *_strata_callbacks(config, strategy),
            *_working_callbacks(config, run, metrics, processes, record),
        ],
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=_shows_bar(config),
        plugins=[AtomicCheckpointIO(), cluster_environment()],
        default_root_dir=run.path,
    )


def _working_callbacks(
    config: RunConfig, run: RunFolder, metrics: JsonlLogger, processes: Processes, record: dict[str, Any]
) -> list[Callback]:
    return callbacks(
        folder=run.checkpoints,
        metrics=metrics,
        monitor=config.trainer.monitor,
        patience=config.trainer.patience,
        log_every=config.trainer.log_every_steps,
        save_every=config.trainer.checkpoint_every_steps,
        record=record,
        switch=build_switch(config, run.checkpoints, quiet=processes.world.rank > 0),
    )


def _strata_callbacks(config: RunConfig, strategy: str | Strategy) -> list[Callback]:
    """What only stratified training needs."""
    check = config.strategy.check_every_steps
    return [
        *([RuleState(strategy.options.rule)] if isinstance(strategy, Stratified) else []),
        *([RankConsistency(check)] if check else []),
    ]


def _observers(config: RunConfig, run: RunFolder, profile: int) -> list[Callback]:
    """What looks at training from the side, and changes nothing."""
    stall = config.trainer.stall_seconds
    return [
        *([Watchdog(run.path / "stalls", stall, say)] if stall else []),
        *([Profile(run.path / "profile" / "trace.json.gz", profile, say)] if profile else []),
    ]


def _shows_bar(config: RunConfig) -> bool:
    return config.trainer.progress and sys.stdout.isatty()


def _display(config: RunConfig) -> list[Callback]:
    return [Bar(leave=False), Narrator()] if _shows_bar(config) else [Narrator()]


def accelerator_of(config: RunConfig) -> str:
    """The Lightning accelerator: a GPU when there is one, unless told otherwise.

    Raises:
        UserError: when a GPU, or a precision that needs one, is asked for and there is none.
    """
    has_gpu = torch.cuda.is_available()
    wanted = config.trainer.accelerator
    if wanted == "gpu" and not has_gpu:
        raise UserError("trainer.accelerator=gpu: torch sees no CUDA device here; use auto or cpu")
    use_gpu = has_gpu and wanted != "cpu"
    if config.trainer.precision == "16-mixed" and not use_gpu:
        raise UserError("trainer.precision=16-mixed needs a GPU; use bf16-mixed or 32-true on a CPU")
    return "gpu" if use_gpu else "cpu"
