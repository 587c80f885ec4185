"""Evaluate: rank every user of a split by a checkpoint and by the baselines; one Parquet file each in eval/."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from ltrec.config.tree import RunConfig
from ltrec.core.progress import Progress, silent
from ltrec.core.storage.atomic import sha256_file
from ltrec.core.storage.run_folder import RunFolder
from ltrec.evaluation.baselines import BASELINES
from ltrec.evaluation.memory.text import KEY as MEMORY
from ltrec.evaluation.table import Protocol
from ltrec.evaluation.training_facts import KEY
from ltrec.run.build.components import Data, build_histories, open_data
from ltrec.run.checkpoint.compatibility import refuse_other_data
from ltrec.run.checkpoint.find_checkpoint import find_checkpoint
from ltrec.run.checkpoint.run_record import refuse_other_settings
from ltrec.run.checkpoint.scoring_weights import refuse_weights
from ltrec.run.checkpoint.training_facts import training_facts
from ltrec.run.folder.reopen import reopen
from ltrec.run.process.rendezvous_env import Processes
from ltrec.run.scoring.baselines import baseline_score, baseline_source
from ltrec.run.scoring.memory import memory_of
from ltrec.run.scoring.protocol import baseline_protocol, protocol_of
from ltrec.run.scoring.ranking_job import RankingJob
from ltrec.run.scoring.scorer import load_score
from ltrec.training.checkpoints.form import AVERAGE
from ltrec.training.checkpoints.io import look_into, whole_file


def evaluate_run(
    run: RunFolder,
    split: str,
    which: str,
    processes: Processes,
    on_progress: Progress = silent,
    config: RunConfig | None = None,
    *,
    weights: str | None = None,
) -> dict[str, Path]:
    """Rank a split with the run's checkpoint and the baselines. Existing tables of the same weights and protocol are kept.

    Args:
        run: the run folder.
        split: `valid` or `test`.
        which: `best`, `last`, ...; falls back as in `find_checkpoint`, and the table says so.
        processes: this process among all; a process group of that size must exist.
        on_progress: called with the progress of each ranking.
        config: of the run, with data located and evaluation settings overridden (`reopen`); None = unchanged.
        weights: `raw` or `average`; None = the average if the run keeps one.

    Returns:
        Result files by scorer name, the model first.

    Raises:
        UserError: the run, its checkpoint or its data are missing or damaged.
    """
    config = config or reopen(run)
    refuse_weights(weights, config)
    checkpoint, data = find_checkpoint(run, which), open_data(config)
    histories, protocol = build_histories(config, data, split), protocol_of(config, data, split)
    sha, source = sha256_file(whole_file(checkpoint)), _source(config, data, checkpoint, which)
    source |= {"checkpoint_sha256": sha, **({"weights": weights or AVERAGE} if config.trainer.ema else {})}
    memory = memory_of(run, config, data, checkpoint, processes, on_progress, weights=weights)
    source |= {} if memory is None else {MEMORY: memory.facts}
    make_score = partial(load_score, config, data, checkpoint, processes, memory, weights=weights, sha=sha)
    model = RankingJob(config.model.name, make_score, run.eval_table(split), source, protocol)
    jobs = [model, *(_baseline_job(name, run, config, data, protocol, on_progress) for name in BASELINES)]
    for job in jobs:
        job.run(config, data, histories, partial(on_progress, job.name))
    return {job.name: job.file for job in jobs}


def _source(config: RunConfig, data: Data, checkpoint: Path, which: str) -> dict[str, Any]:
    """Metadata of the checkpoint for the table; its weights are not read.

    Raises:
        UserError: the checkpoint is damaged, or belongs to other data or settings.
    """
    state = look_into(checkpoint)
    refuse_other_data(checkpoint, state, data.manifest.digest, way_out="name the data it was trained on with --data DIR")
    refuse_other_settings(checkpoint, state, config)
    return {
        "name": config.name,
        "scorer": config.model.name,
        "seed": config.seed,
        "asked": which,
        "checkpoint": checkpoint.stem,
        KEY: training_facts(checkpoint, state, config).to_dict(),
        "top_k": config.evaluation.top_k,
    }


def _baseline_job(
    name: str, run: RunFolder, config: RunConfig, data: Data, protocol: Protocol, on_progress: Progress
) -> RankingJob:
    return RankingJob(
        name,
        partial(baseline_score, name, run, data, on_progress),
        run.eval_table(protocol.split, name),
        baseline_source(name) | {"top_k": config.evaluation.top_k},
        baseline_protocol(protocol, name),
    )
