"""Before the first step: everything that can be refused is, on every rank alike; then the run folder is ours, and opened.

settings, machine, folder   ->   the folder is owned by rank 0   ->   data, model, checkpoint   ->   all ranks agree   ->   begun
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.strategies import Strategy

from ltrec.config.tree import RunConfig
from ltrec.core.errors import UserError
from ltrec.core.run_folder import RunFolder
from ltrec.core.storage.slots import go_back
from ltrec.data.stream.order.plan import Plan
from ltrec.run.build.combinations import refuse_combinations
from ltrec.run.build.components import Data, build_datamodule, build_plan, build_stage, check_world, open_data, total_steps
from ltrec.run.build.loggers import refuse_absent_tracker, refuse_classes
from ltrec.run.build.monitored_metric import not_validated, refuse_monitor
from ltrec.run.build.narrator import say_untrained, say_visits
from ltrec.run.build.strata import heirs_of
from ltrec.run.build.strategies import build_strategy, build_stratified_options
from ltrec.run.build.two_stages import refuse_plugins
from ltrec.run.checkpoint.finished import why_finished
from ltrec.run.checkpoint.init_from import start_from
from ltrec.run.checkpoint.resume_point import find_start
from ltrec.run.checkpoint.run_record import record_of
from ltrec.run.checkpoint.scoring_weights import refuse_average_of_one
from ltrec.run.folder.begin import begin_run
from ltrec.run.folder.config_file import folder_of
from ltrec.run.folder.find_run import find_run, is_inside
from ltrec.run.folder.ownership import owning
from ltrec.run.folder.provenance_file import run_id, set_damaged_provenance_aside
from ltrec.run.folder.reuse_checks import refuse_other_data_there, refuse_unless_disposable
from ltrec.run.process.agreement import code, data_and_start, settings
from ltrec.run.process.processes import Processes, detect
from ltrec.run.process.rendezvous import Meeting, meet
from ltrec.strategy import Stratified
from ltrec.terminal.screen import note
from ltrec.tracking.provenance import provenance
from ltrec.training.datamodule import StreamDataModule
from ltrec.training.module import BackboneModule
from ltrec.training.stop_signals import END, StopRequest


@dataclass(frozen=True, slots=True)
class Began:
    """A run that may take its first step. The meeting is kept, for torch's processes go on using its store."""

    meeting: Meeting
    processes: Processes
    run: RunFolder
    resume: Path | None
    stage: BackboneModule
    datamodule: StreamDataModule
    strategy: str | Strategy
    record: dict[str, Any]
    """What its checkpoints remember of it."""
    over: str | None
    """Why there is nothing to do, if so; then nothing was written."""


@dataclass(frozen=True, slots=True)
class _Built:
    """What is made of the config on one rank, what provenance should remember of it, and what the other ranks must hold as well."""

    data: Data
    plan: Plan
    stage: BackboneModule
    datamodule: StreamDataModule
    strategy: str | Strategy
    resume: Path | None
    origin: dict[str, Any]
    start: dict[str, str]
    over: str | None


def begin(config: RunConfig, stop: StopRequest, until_the_end: ExitStack, *, limit: int | None, afresh: bool) -> Began:
    """Check everything, own the run folder, agree with the other ranks, and open the folder.

    Args:
        config: the resolved run.
        stop: what signals asked of this process.
        until_the_end: holds the run folder's ownership.
        limit: epochs are cut to so many steps, if at all.
        afresh: a throw-away run, which begins again whatever an attempt before it left.

    Raises:
        UserError: for anything the user can mend, on any rank: the same on all.
    """
    processes = detect()
    seconds = config.trainer.timeout_seconds
    meeting = meet(processes, seconds, lambda: stop.kind == END, note)
    run, leads = folder_of(config), processes.world.rank == 0
    with meeting.together() as held:
        refuse_classes(config)  # whose modules the other ranks must have alike
        held |= code() | settings(config) if processes.world.size > 1 else {}
        refuse_combinations(config)
        refuse_absent_tracker(config)
        check_world(config, processes.world.size)
        accelerator_of(config)
        if config.trainer.threads:
            torch.set_num_threads(config.trainer.threads)
        if leads:
            _look(config, afresh)
            until_the_end.enter_context(owning(run, note))
    with meeting.together() as held:
        built = _build(config, processes, limit=limit, afresh=afresh)
        held |= built.start
    with meeting.together():
        if leads and built.over is None:
            if built.resume is not None and built.resume.parent == run.checkpoints and built.resume != run.last:
                go_back(run.last, built.resume)
            origin = provenance(Path(config.data.path), built.data.manifest, config.seed, processes.world.size)
            if built.resume is not None:
                set_damaged_provenance_aside(run, note)
            begin_run(run, config, origin | built.origin, fresh=built.resume is None, disposable=afresh)
            _tell(config, built, limit)
    record = record_of(config, run_id(run) if leads and built.over is None else "", total_steps(config, built.plan))
    return Began(meeting, processes, run, built.resume, built.stage, built.datamodule, built.strategy, record, built.over)


def _tell(config: RunConfig, built: _Built, limit: int | None) -> None:
    """What nobody should overlook about a run that begins."""
    say_visits(built.plan)
    say_untrained(built.plan, heirs_of(config, built.data.manifest))
    if limit is None and (line := not_validated(config, built.plan)):
        note(line)


def _look(config: RunConfig, afresh: bool) -> tuple[RunFolder, Path | None]:
    """The run folder and where to go on, looked at without writing."""
    if afresh:
        refuse_unless_disposable(folder_of(config))
        return folder_of(config), None
    return find_run(config)


def _build(config: RunConfig, processes: Processes, *, limit: int | None, afresh: bool) -> _Built:
    """Data, model and strategy, with what was learned so far. Looks at the folder again: now nobody else writes there."""
    data = open_data(config)
    plan = build_plan(config, data)
    refuse_plugins(config, plan, limit=limit)
    refuse_average_of_one(config, plan.steps_per_epoch)
    stage, datamodule = build_stage(config, data, plan), build_datamodule(config, data, plan, processes.world)
    refuse_monitor(config, stage.validator, datamodule.validation)
    run, resume = _look(config, afresh)
    state: dict[str, Any] = {}
    over: str | None = None
    if resume is None:
        refuse_other_data_there(run, data.manifest.digest)
    else:
        resume, state = find_start(
            run,
            resume,
            config,
            stage,
            manifest_digest=data.manifest.digest,
            total_steps=total_steps(config, plan) if limit is None else None,
            say=note if processes.world.rank == 0 else lambda _: None,
        )
        if resume.parent == run.checkpoints:
            over = why_finished(config, state, steps_per_epoch=min(plan.steps_per_epoch, limit or plan.steps_per_epoch))
    started = start_from(config, stage, data.manifest.digest) if config.init_from and resume is None else None
    strategy = build_strategy(config, processes, accelerator_of(config), build_stratified_options(config, data, plan))
    if isinstance(strategy, Stratified):
        strategy.refuse(stage, config.trainer.accumulate)
    run_id = "" if resume is None else state["run"]["run_id"]
    origin = {"training_strata": plan.strata.names(), **_sources(run, resume, run_id, started)}
    step = state.get("global_step", 0)
    start = data_and_start(data.manifest, resume, step, started) if processes.world.size > 1 else {}
    return _Built(data, plan, stage, datamodule, strategy, resume, origin, start, over)


def _sources(run: RunFolder, resume: Path | None, run_id: str, started: dict[str, Any] | None) -> dict[str, Any]:
    """Checkpoints of other runs that this one comes from; the identity of one that goes on."""
    sources: dict[str, Any] = {} if started is None else {"init_from": started}
    if resume is not None and not is_inside(resume, run):
        sources["resumed_from"] = str(resume.absolute())
    elif resume is not None:
        sources["run_id"] = run_id  # where its provenance is lost
    return sources


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
