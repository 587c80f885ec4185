"""The callbacks of a run, made from its config. Their order is explained in `ltrec.training.callbacks`."""

from __future__ import annotations

from pytorch_lightning.callbacks import Callback

from ltrec.config.tree import RunConfig
from ltrec.core.storage.run_folder import RunFolder
from ltrec.run.build.loggers import named_callbacks
from ltrec.run.build.two_stages import build_switch
from ltrec.run.preflight import ReadyRun
from ltrec.strategy import Stratified
from ltrec.strategy.rule_state import RuleState
from ltrec.terminal.screen import note
from ltrec.tracking.jsonl import JsonlLogger
from ltrec.training.callbacks.checkpoints import Checkpoints
from ltrec.training.callbacks.cursor import Cursor
from ltrec.training.callbacks.health import Health
from ltrec.training.callbacks.patience import Patience
from ltrec.training.callbacks.preemption import Preemption
from ltrec.training.callbacks.profile import Profile
from ltrec.training.callbacks.quarantine import QuarantineLedger
from ltrec.training.callbacks.rank_consistency import RankConsistency
from ltrec.training.callbacks.step_limit import StepLimit
from ltrec.training.callbacks.telemetry import Telemetry
from ltrec.training.callbacks.watchdog import Watchdog
from ltrec.training.callbacks.weight_average import WeightAverage
from ltrec.training.stop_signals import StopRequest


def build_callbacks(config: RunConfig, ready: ReadyRun, metrics: JsonlLogger, stop: StopRequest, *, profile: int) -> list[Callback]:
    """The callbacks of a run, except those that print progress or check the checkpoint it resumes from.

    Args:
        config: the resolved run.
        ready: the run folder and what was built from the config.
        metrics: metrics.jsonl.
        stop: stop requests of this process.
        profile: optimiser steps to record as a trace; 0 = none.
    """
    loop, run, health = config.trainer, ready.run, Health()
    average = WeightAverage(loop.ema) if loop.ema else None
    switch = build_switch(config, run.checkpoints, average, quiet=ready.processes.world.rank > 0)
    checkpoints = Checkpoints(
        run.checkpoints, metrics, monitor=loop.monitor, every_steps=loop.checkpoint_every_steps, record=ready.record
    )
    return [
        *(callback for callback in (switch, average) if callback is not None),
        StepLimit(loop.max_steps),
        health,
        Cursor(),
        Telemetry(loop.log_every_steps, health),
        *_quarantine(config, run),
        *([Patience(loop.monitor, loop.patience)] if loop.patience else []),
        checkpoints,
        Preemption(run, stop, every_steps=loop.listen_every_steps),
        *_stratified(config, ready, average),
        *_observers(config, ready, profile),
        *named_callbacks(config),
    ]


def _quarantine(config: RunConfig, run: RunFolder) -> list[Callback]:
    """The ledger of damage, where training survives it."""
    return [] if config.stream.on_damage == "fail" else [QuarantineLedger(run.quarantine, config.trainer.log_every_steps)]


def _stratified(config: RunConfig, ready: ReadyRun, average: WeightAverage | None) -> list[Callback]:
    """Callbacks of stratified training."""
    strategy, every_steps = ready.strategy, config.strategy.check_every_steps
    return [
        *([RuleState(strategy.options.rule)] if isinstance(strategy, Stratified) else []),
        *([RankConsistency(every_steps, average)] if every_steps else []),
    ]


def _observers(config: RunConfig, ready: ReadyRun, profile: int) -> list[Callback]:
    """Callbacks that watch training and change nothing."""
    run, stall = ready.run, config.trainer.stall_seconds
    return [
        *([Watchdog(run.stalls, stall, note)] if stall else []),
        *([Profile(run.profile, profile, note)] if profile else []),
    ]
