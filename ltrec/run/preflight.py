"""Before the first step: whatever can be refused is refused, on every rank alike; only then is anything written.

    settings, machine, folder -> rank 0 owns the folder -> data, model, checkpoint -> all ranks agree -> the folder is opened

Each arrow is a `Meeting.together`: a failure on one rank is the same line on all of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.strategies import Strategy

from ltrec.config.tree import RunConfig
from ltrec.core.errors import UserError
from ltrec.core.storage.run_folder import RunFolder
from ltrec.core.storage.versions import go_back
from ltrec.data.stream.order.plan import Plan
from ltrec.run.build.combinations import refuse_combinations
from ltrec.run.build.components import Data, build_datamodule, build_module, build_plan, check_world, open_data, total_steps
from ltrec.run.build.loggers import refuse_absent_tracker, refuse_classes
from ltrec.run.build.monitored_metric import not_validated, refuse_monitor
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
from ltrec.run.progress.announcements import say_untrained, say_visits
from ltrec.strategy import Stratified
from ltrec.terminal.screen import note
from ltrec.tracking.provenance import provenance
from ltrec.training.datamodule import StreamDataModule
from ltrec.training.module import BackboneModule
from ltrec.training.stop_signals import END, StopRequest


@dataclass(frozen=True, slots=True)
class ReadyRun:
    """A run that may take its first step.

    Attributes:
        meeting: kept, for torch's process group goes on using its store.
        processes: this process among all.
        run: the run folder, which rank 0 owns.
        resume: the checkpoint to resume from; None = from scratch.
        module: the Lightning module.
        datamodule: its data.
        strategy: Lightning's.
        record: what its checkpoints remember of the run.
        finished: why there is nothing left to train, in a sentence; None when there is. Then nothing was written.
    """

    meeting: Meeting
    processes: Processes
    run: RunFolder
    resume: Path | None
    module: BackboneModule
    datamodule: StreamDataModule
    strategy: str | Strategy
    record: dict[str, Any]
    finished: str | None


@dataclass(frozen=True, slots=True)
class _Built:
    """What one rank makes of the config.

    Attributes:
        sources: what provenance says of the checkpoints that the run comes from, and of its strata.
        held: what the other ranks must hold as well, by name.
    """

    data: Data
    plan: Plan
    module: BackboneModule
    datamodule: StreamDataModule
    strategy: str | Strategy
    resume: Path | None
    sources: dict[str, Any]
    held: dict[str, str]
    finished: str | None


def run_preflight(config: RunConfig, stop: StopRequest, exit_stack: ExitStack, *, limit: int | None, disposable: bool) -> ReadyRun:
    """Check everything, own the run folder, agree with the other ranks, and open the folder.

    Args:
        config: the resolved run.
        stop: what signals asked of this process.
        exit_stack: closed when training ends; it holds the ownership of the run folder.
        limit: epochs are cut to so many steps; None = they are whole.
        disposable: a smoke test, which begins again whatever an attempt before it left.

    Raises:
        UserError: for anything the user can mend, on any rank: the same on all.
    """
    processes = detect()
    meeting = meet(processes, config.trainer.timeout_seconds, lambda: stop.kind == END, note)
    run, is_rank_0 = folder_of(config), processes.world.rank == 0
    with meeting.together() as held:
        refuse_classes(config)  # whose modules the other ranks must have alike
        held |= code() | settings(config) if processes.world.size > 1 else {}
        _refuse_settings(config, processes)
        if config.trainer.threads:
            torch.set_num_threads(config.trainer.threads)
        if is_rank_0:
            _find_run(config, disposable)
            exit_stack.enter_context(owning(run, note))
    with meeting.together() as held:
        built = _build(config, processes, limit=limit, disposable=disposable)
        held |= built.held
    with meeting.together():
        if is_rank_0 and built.finished is None:
            _open_folder(config, run, built, processes, disposable=disposable)
            _announce(config, built, limit)
    identity = run_id(run) if is_rank_0 and built.finished is None else ""
    record = record_of(config, identity, total_steps(config, built.plan))
    return ReadyRun(meeting, processes, run, built.resume, built.module, built.datamodule, built.strategy, record, built.finished)


def _refuse_settings(config: RunConfig, processes: Processes) -> None:
    """What the settings and the machine alone can tell, before any data are looked at."""
    refuse_combinations(config)
    refuse_absent_tracker(config)
    check_world(config, processes.world.size)
    accelerator_of(config)


def _find_run(config: RunConfig, disposable: bool) -> tuple[RunFolder, Path | None]:
    """The run folder, with the checkpoint to resume from. Nothing is written."""
    if disposable:
        refuse_unless_disposable(folder_of(config))
        return folder_of(config), None
    return find_run(config)


def _build(config: RunConfig, processes: Processes, *, limit: int | None, disposable: bool) -> _Built:
    """Data, model and strategy, with what was learned so far. Looks at the folder again: now nobody else writes there."""
    data = open_data(config)
    plan = build_plan(config, data)
    refuse_plugins(config, plan, limit=limit)
    refuse_average_of_one(config, plan.steps_per_epoch)
    module, datamodule = build_module(config, data, plan), build_datamodule(config, data, plan, processes.world)
    refuse_monitor(config, module.validator, datamodule.validation)
    run, resume = _find_run(config, disposable)
    state: dict[str, Any] = {}
    finished: str | None = None
    if resume is None:
        refuse_other_data_there(run, data.manifest.digest)
    else:
        resume, state = find_start(
            run,
            resume,
            config,
            module,
            manifest_digest=data.manifest.digest,
            total_steps=total_steps(config, plan) if limit is None else None,
            say=note if processes.world.rank == 0 else lambda _: None,
        )
        if resume.parent == run.checkpoints:
            finished = why_finished(config, state, steps_per_epoch=min(plan.steps_per_epoch, limit or plan.steps_per_epoch))
    started = start_from(config, module, data.manifest.digest) if config.init_from and resume is None else None
    strategy = build_strategy(config, processes, accelerator_of(config), build_stratified_options(config, data, plan))
    if isinstance(strategy, Stratified):
        strategy.refuse(module, config.trainer.accumulate)
    sources = {"training_strata": plan.strata.names(), **_sources(run, resume, state, started)}
    held = data_and_start(data.manifest, resume, state.get("global_step", 0), started) if processes.world.size > 1 else {}
    return _Built(data, plan, module, datamodule, strategy, resume, sources, held, finished)


def _open_folder(config: RunConfig, run: RunFolder, built: _Built, processes: Processes, *, disposable: bool) -> None:
    """Make the folder say what is about to be trained; rank 0 alone does this, and from here on things are written."""
    if built.resume is not None:
        if built.resume.parent == run.checkpoints and built.resume != run.last:
            go_back(run.last, built.resume)
        set_damaged_provenance_aside(run, note)
    origin = provenance(Path(config.data.path), built.data.manifest, config.seed, processes.world.size)
    begin_run(run, config, origin | built.sources, fresh=built.resume is None, disposable=disposable)


def _announce(config: RunConfig, built: _Built, limit: int | None) -> None:
    """What nobody should overlook about a run that begins."""
    say_visits(built.plan)
    say_untrained(built.plan, heirs_of(config, built.data.manifest))
    if limit is None and (line := not_validated(config, built.plan)):
        note(line)


def _sources(run: RunFolder, resume: Path | None, state: Mapping[str, Any], started: dict[str, Any] | None) -> dict[str, Any]:
    """Checkpoints of other runs that this one comes from; of a run that is resumed, its identity."""
    sources: dict[str, Any] = {} if started is None else {"init_from": started}
    if resume is not None and not is_inside(resume, run):
        sources["resumed_from"] = str(resume.absolute())
    elif resume is not None:
        sources["run_id"] = state["run"]["run_id"]  # in case its provenance is lost
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
