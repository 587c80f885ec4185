"""`ltrec.evaluate`: rank every user's target, measure by activity stratum, and compare runs under the gate."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ltrec.api.results.evaluation import EvaluatedRun, Evaluation
from ltrec.api.session import session
from ltrec.api.settings import overrides_of
from ltrec.config.tree import RunConfig
from ltrec.core.errors import UserError
from ltrec.core.storage.atomic import atomic_write_text, sha256_file
from ltrec.core.storage.canonical import canonical_json
from ltrec.core.storage.run_folder import RunFolder
from ltrec.data.remote.folder import read_manifest
from ltrec.evaluation.comparison.judgement import judge_runs
from ltrec.evaluation.memory.text import KEY as MEMORY
from ltrec.evaluation.summary import summarise
from ltrec.evaluation.table import EvalTable
from ltrec.evaluation.training_facts import KEY
from ltrec.run.checkpoint.find_checkpoint import find_checkpoint
from ltrec.run.checkpoint.scoring_weights import refuse_weights
from ltrec.run.evaluate import evaluate_run
from ltrec.run.folder.reopen import reopen, split_runs
from ltrec.run.process.agreement import code_facts, setting_facts
from ltrec.run.process.crash_file import traceback_in
from ltrec.run.process.detect import detect
from ltrec.run.process.processes import process_group
from ltrec.run.process.rendezvous import join_ranks
from ltrec.run.process.rendezvous_env import Processes
from ltrec.terminal.progress_row import PhaseBar
from ltrec.terminal.screen import note, screen
from ltrec.training.checkpoints.io import whole_file

RENDEZVOUS_SECONDS = 600.0
"""Longest wait for other processes."""


def evaluate(
    *runs: str | os.PathLike[str],
    compare: str | os.PathLike[str] | Sequence[str | os.PathLike[str]] = (),
    split: str = "test",
    checkpoint: str = "best",
    data: str | os.PathLike[str] | None = None,
    weights: str | None = None,
    progress: bool = False,
    **evaluation: Any,
) -> Evaluation:
    """Rank every user's target with each run's model and the baselines. What was ranked before, and is the same, is kept.

        ltrec.evaluate("runs/mine").runs[0].summary.groups["tail"].metrics["ndcg@10"].mean
        ltrec.evaluate("runs/mine-1", "runs/mine-2", compare=["runs/joint-1", "runs/joint-2"]).gate

    Args:
        runs: run folders; several are training seeds of one method.
        compare: run folders to compare with, in the same order of seeds.
        split: `test` or `valid`.
        checkpoint: `best`, `last`, `previous`, or `stage1`: the best before plugins woke.
        data: folder of the data set; None = that of the run's config.
        weights: `average` (with trainer.ema, the default) or `raw`.
        progress: show how far it is.
        evaluation: settings of evaluation in place of the runs' own: head_from=20, bootstrap_samples=1000.

    Raises:
        UserError: a run, its checkpoint or its data is missing or damaged, or the runs must not be compared.
    """
    if split not in ("test", "valid"):
        raise UserError(f"--split {split}: it must be test or valid")
    rivals = [Path(run) for run in ([compare] if isinstance(compare, str | os.PathLike) else compare)]
    with session(progress=progress):
        ours, overrides = split_runs([os.fspath(run) for run in runs])
        overrides, at = overrides + overrides_of(evaluation, "evaluation"), None if data is None else os.fspath(data)
        processes = detect()
        rendezvous = join_ranks(processes, RENDEZVOUS_SECONDS, say=note)  # kept: the process group uses its store
        with rendezvous.agree() as facts:
            configs = {folder: reopen(RunFolder(folder), overrides, at) for folder in [*ours, *rivals]}
            for config in configs.values():
                refuse_weights(weights, config)
            facts |= {"--weights": str(weights), **facts_of(configs, checkpoint)} if processes.world.size > 1 else {}
        with process_group(processes):
            tables = {folder: _ranked(folder, config, split, checkpoint, weights, processes) for folder, config in configs.items()}
        if processes.world.rank:
            return Evaluation(split, ())
        return _judged(split, *([EvaluatedRun(f, configs[f], tables[f], {}) for f in side] for side in (ours, rivals)))


def facts_of(configs: dict[Path, RunConfig], checkpoint: str) -> dict[str, str]:
    """Facts that must be equal on all ranks, so that no table is ranked with two models."""
    facts = code_facts()
    for folder, config in configs.items():
        facts |= {f"{key} of {folder}": value for key, value in setting_facts(config).items()}
        facts[f"the data set's digest of {folder}"] = read_manifest(config.data.path).digest[:12]
        facts[f"the checkpoint's digest of {folder}"] = sha256_file(whole_file(find_checkpoint(RunFolder(folder), checkpoint)))[:12]
    return facts


def _ranked(
    folder: Path, config: RunConfig, split: str, checkpoint: str, weights: str | None, processes: Processes
) -> dict[str, EvalTable]:
    """The tables of one run by scorer; none on any rank but the first."""
    with traceback_in(folder), PhaseBar(screen(), quiet=processes.world.rank > 0) as bar:

        def on_progress(what: str, done: int, total: int) -> None:
            bar.update(f"{folder.name}: {what}", done, total)

        files = evaluate_run(RunFolder(folder), split, checkpoint, processes, on_progress, config, weights=weights)
    return {name: EvalTable.read(path) for name, path in files.items()} if processes.world.rank == 0 else {}


def _judged(split: str, ours: Sequence[EvaluatedRun], rivals: Sequence[EvaluatedRun]) -> Evaluation:
    """Metrics, comparison and verdict; all of it is left as JSON beside the tables."""
    runs, against = tuple(_summarised(run, split) for run in ours), tuple(rivals)
    if not against:
        return Evaluation(split, runs)
    ranked = [[(run.path, run.table) for run in side] for side in (runs, against)]
    file, found = judge_runs(ranked[0], ranked[1], runs[0].config.evaluation)
    return Evaluation(split, runs, against, found.comparison, found.gate, found.refusal or None, file)


def _summarised(run: EvaluatedRun, split: str) -> EvaluatedRun:
    """With its metrics, which are left as JSON beside its tables."""
    summaries = {name: summarise(table, run.config.evaluation) for name, table in run.tables.items()}
    body = {name: {**summary.to_dict(), **_facts(run.tables[name])} for name, summary in summaries.items()}
    atomic_write_text(RunFolder(run.path).eval_summary(split), canonical_json(body))
    return replace(run, summaries=summaries)


def _facts(table: EvalTable) -> Mapping[str, Any]:
    """Which checkpoint was ranked, and with what memory, as JSON; nothing for a baseline."""
    known = ("asked", "checkpoint", KEY, MEMORY) if KEY in table.source else ()
    return {key: table.source[key] for key in known if key in table.source}
