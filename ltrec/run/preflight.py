"""Checks before the first step: everything that can be refused is refused, on every rank, before anything is written.

    settings, machine, folder -> rank 0 owns the folder -> data, model, checkpoint -> all ranks agree -> the folder is written

Each arrow is a `Rendezvous.agree`: a failure on one rank is the same line on all of them.
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
from ltrec.run.build.components import Data, build_plan, open_data, total_steps
from ltrec.run.build.loggers import refuse_absent_tracker, refuse_classes
from ltrec.run.build.monitored_metric import not_validated, refuse_monitor
from ltrec.run.build.strata import heirs_of
from ltrec.run.build.strategies import build_strategy, build_stratified_options
from ltrec.run.build.training import build_datamodule, build_module
from ltrec.run.build.two_stages import refuse_plugins
from ltrec.run.build.world_size import check_world
from ltrec.run.checkpoint.finished import why_finished
from ltrec.run.checkpoint.init_from import load_trunk
from ltrec.run.checkpoint.resume_point import load_resume_point
from ltrec.run.checkpoint.run_record import record_of
from ltrec.run.checkpoint.scoring_weights import refuse_average_of_one
from ltrec.run.folder.begin import begin_run
from ltrec.run.folder.config_file import folder_of
from ltrec.run.folder.find_run import find_run, is_inside
from ltrec.run.folder.ownership import own_folder
from ltrec.run.folder.provenance_file import run_id, set_damaged_provenance_aside
from ltrec.run.folder.reuse_checks import refuse_other_data_in, refuse_unless_disposable
from ltrec.run.process.agreement import code_facts, data_facts, setting_facts
from ltrec.run.process.detect import detect
from ltrec.run.process.rendezvous import Rendezvous, join_ranks
from ltrec.run.process.rendezvous_env import Processes
from ltrec.run.progress.announcements import note_slow_products, say_untrained, say_visits
from ltrec.strategy import Stratified
from ltrec.terminal.screen import note
from ltrec.tracking.provenance import provenance
from ltrec.training.datamodule import StreamDataModule
from ltrec.training.module import BackboneModule
from ltrec.training.stop_signals import END, StopRequest


@dataclass(frozen=True, slots=True)
class ReadyRun:
    """A run that is ready for its first step.

    Attributes:
        rendezvous: kept, since torch's process group uses its store.
        processes: this process among all.
        run: the run folder, which rank 0 owns.
        resume: the checkpoint to resume from; None = from scratch.
        module: the Lightning module.
        datamodule: its data.
        strategy: of Lightning.
        record: of the run, kept in its checkpoints.
        finished: why there is nothing left to train; nothing was written then. None when there is something to train.
    """

    rendezvous: Rendezvous
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
    """Everything that one rank builds from the config.

    Attributes:
        sources: for provenance: checkpoints that the run comes from, and its strata.
        facts: by name, must be equal on all ranks.
    """

    data: Data
    plan: Plan
    module: BackboneModule
    datamodule: StreamDataModule
    strategy: str | Strategy
    resume: Path | None
    sources: dict[str, Any]
    facts: dict[str, str]
    finished: str | None


def run_preflight(config: RunConfig, stop: StopRequest, exit_stack: ExitStack, *, limit: int | None, disposable: bool) -> ReadyRun:
    """Check everything, lock the run folder, compare the ranks, and write the folder.

    Args:
        config: the resolved run.
        stop: stop requests of this process.
        exit_stack: closed when training ends; it holds the lock of the run folder.
        limit: steps per epoch at most; None = whole epochs.
        disposable: a smoke test, which starts over whatever an earlier attempt left.

    Raises:
        UserError: anything that the user can correct, on any rank; the same on all.
    """
    processes = detect()
    rendezvous = join_ranks(processes, config.trainer.timeout_seconds, lambda: stop.kind == END, note)
    run, is_rank_0 = folder_of(config), processes.world.rank == 0
    with rendezvous.agree() as facts:
        refuse_classes(config)  # their modules are compared between ranks
        facts |= code_facts() | setting_facts(config) if processes.world.size > 1 else {}
        _refuse_settings(config, processes)
        if config.trainer.threads:
            torch.set_num_threads(config.trainer.threads)
        if is_rank_0:
            _find_run(config, disposable)
            exit_stack.enter_context(own_folder(run, note))
    with rendezvous.agree() as facts:
        built = _build(config, processes, limit=limit, disposable=disposable)
        facts |= built.facts
    with rendezvous.agree():
        if is_rank_0 and built.finished is None:
            _open_folder(config, run, built, processes, disposable=disposable)
            _announce(config, built, limit)
    identity = run_id(run) if is_rank_0 and built.finished is None else ""
    record = record_of(config, identity, total_steps(config, built.plan))
    return ReadyRun(
        rendezvous, processes, run, built.resume, built.module, built.datamodule, built.strategy, record, built.finished
    )


def _refuse_settings(config: RunConfig, processes: Processes) -> None:
    """Refuse what cannot work by settings and machine alone, before data are read."""
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
    """Data, model and strategy, with the checkpoint to resume from. Reads the folder again, which is locked by now."""
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
        refuse_other_data_in(run, data.manifest.digest)
    else:
        resume, state = load_resume_point(
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
    initialised_from: dict[str, Any] | None = None
    if config.init_from and resume is None:
        initialised_from, earlier = load_trunk(config, module, data.manifest)
        datamodule.loader.begin_after(earlier)
    strategy = build_strategy(config, processes, accelerator_of(config), build_stratified_options(config, data, plan))
    if isinstance(strategy, Stratified):
        strategy.refuse(module, config.trainer.accumulate)
    sources = {"training_strata": plan.strata.names(), **_sources(run, resume, state, initialised_from)}
    facts = data_facts(data.manifest, resume, state.get("global_step", 0), initialised_from) if processes.world.size > 1 else {}
    return _Built(data, plan, module, datamodule, strategy, resume, sources, facts, finished)


def _open_folder(config: RunConfig, run: RunFolder, built: _Built, processes: Processes, *, disposable: bool) -> None:
    """Write config and provenance to the run folder, on rank 0 only. Nothing is written before."""
    if built.resume is not None:
        if built.resume.parent == run.checkpoints and built.resume != run.last:
            go_back(run.last, built.resume)
        set_damaged_provenance_aside(run, note)
    origin = provenance(config.data.path, built.data.manifest, config.seed, processes.world.size)
    begin_run(run, config, origin | built.sources, fresh=built.resume is None, disposable=disposable)


def _announce(config: RunConfig, built: _Built, limit: int | None) -> None:
    """Notes at the start of a run."""
    say_visits(built.plan)
    say_untrained(built.plan, heirs_of(config, built.data.manifest))
    note_slow_products(config, accelerator_of(config))
    if limit is None and (line := not_validated(config, built.plan)):
        note(line)


def _sources(
    run: RunFolder, resume: Path | None, state: Mapping[str, Any], initialised_from: dict[str, Any] | None
) -> dict[str, Any]:
    """Checkpoints of other runs that this one comes from; the identity of a resumed run."""
    sources: dict[str, Any] = {} if initialised_from is None else {"init_from": initialised_from}
    if resume is not None and not is_inside(resume, run):
        sources["resumed_from"] = str(resume.absolute())
    elif resume is not None:
        sources["run_id"] = state["run"]["run_id"]  # in case provenance.json is lost
    return sources


def accelerator_of(config: RunConfig) -> str:
    """The Lightning accelerator: a GPU if there is one, unless trainer.accelerator=cpu.

    Raises:
        UserError: a GPU, or a precision that needs one, is requested and there is none.
    """
    has_gpu = torch.cuda.is_available()
    wanted = config.trainer.accelerator
    if wanted == "gpu" and not has_gpu:
        raise UserError("trainer.accelerator=gpu: torch sees no CUDA device here; use auto or cpu")
    use_gpu = has_gpu and wanted != "cpu"
    if config.trainer.precision == "16-mixed" and not use_gpu:
        raise UserError("trainer.precision=16-mixed needs a GPU; use bf16-mixed or 32-true on a CPU")
    return "gpu" if use_gpu else "cpu"
