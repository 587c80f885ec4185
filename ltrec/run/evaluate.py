"""Evaluate: a checkpoint ranks every user of a split; the baselines rank them too; each leaves one Parquet file in eval/.

Chunks of users are fixed by the protocol. Process r of W ranks every W-th of them and rank 0 writes the file, so the file does not
depend on W.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from ltrec.config.tree import RunConfig
from ltrec.core.errors import UserError
from ltrec.core.run_folder import RunFolder
from ltrec.core.storage.atomic import sha256_file
from ltrec.data.reach import read_reach
from ltrec.data.stream.reading.histories import Score, SplitHistories
from ltrec.distributed.collectives import all_gather_parts, any_rank, current_world
from ltrec.evaluation.baselines import BASELINES
from ltrec.evaluation.catalogue import ItemCatalogue
from ltrec.evaluation.memory.words import KEY as MEMORY
from ltrec.evaluation.ranking import Negatives, num_parts, rank_split
from ltrec.evaluation.table import EvalTable, Protocol, RankedRows, assemble
from ltrec.evaluation.training_facts import KEY
from ltrec.run.build.components import Data, build_histories, open_data
from ltrec.run.checkpoint.compatibility import refuse_other_data
from ltrec.run.checkpoint.find_checkpoint import find_checkpoint
from ltrec.run.checkpoint.run_record import refuse_other_settings
from ltrec.run.checkpoint.scoring_weights import refuse_weights
from ltrec.run.checkpoint.training_facts import training_facts
from ltrec.run.folder.reopen import reopen
from ltrec.run.process.processes import Processes
from ltrec.run.scoring.baselines import baseline_score, baseline_source
from ltrec.run.scoring.memory import memory_of
from ltrec.run.scoring.scorer import load_score
from ltrec.terminal.screen import note
from ltrec.training.callbacks.weight_average import AVERAGE
from ltrec.training.checkpoints.io import look_into, whole_file

Progress = Callable[[str, int, int], None]
"""What is ranked, chunks done, chunks in all (of this process)."""


@dataclass(frozen=True, slots=True)
class _Job:
    """One scorer to rank with, and what its table must say."""

    name: str
    make_score: Callable[[], Score]
    source: dict[str, Any]
    protocol: Protocol


def evaluate_run(
    run: RunFolder,
    split: str,
    which: str,
    processes: Processes,
    on_progress: Progress = lambda *_: None,
    config: RunConfig | None = None,
    *,
    weights: str | None = None,
) -> dict[str, Path]:
    """Rank a split with the run's checkpoint and the baselines. Existing results of the same weights and protocol are kept.

    Args:
        run: the run folder.
        split: `valid` or `test`.
        which: `best`, `last`, ...; the first that exists where there is no such checkpoint, and the table says so.
        processes: this process among all; a process group of that size must exist.
        on_progress: hears how far it is.
        config: the run's, with the data's place and settings of evaluation as they shall be; None = as the run has them.
        weights: `raw` or `average`; None = their average, where the run keeps one.

    Returns:
        Result files by scorer name, the model first.

    Raises:
        UserError: when the run, its checkpoint or its data is missing or damaged.
    """
    config, checkpoint = config or reopen(run), find_checkpoint(run, which)
    data = open_data(config)
    histories = build_histories(config, data, split)
    state, sha, protocol = look_into(checkpoint), sha256_file(whole_file(checkpoint)), protocol_of(config, data, split)
    refuse_other_data(checkpoint, state, data.manifest.digest, way_out="name the data it was trained on with --data DIR")
    refuse_other_settings(checkpoint, state, config)
    refuse_weights(weights, config)
    files = {config.model.name: run.eval_table(split)}
    lists = {"top_k": config.evaluation.top_k}
    source = {
        "name": config.name,
        "scorer": config.model.name,
        "seed": config.seed,
        "asked": which,
        "checkpoint": checkpoint.stem,
        "checkpoint_sha256": sha,
        **({"weights": weights or AVERAGE} if config.trainer.ema else {}),
        KEY: training_facts(checkpoint, state, config).to_dict(),
        **lists,
    }
    memory = memory_of(run, config, data, checkpoint, processes, on_progress, weights=weights)
    source |= {} if memory is None else {MEMORY: memory.facts}
    make_score = partial(load_score, config, data, checkpoint, processes, memory, weights=weights, sha=sha)
    jobs = [_Job(config.model.name, make_score, source, protocol)]
    for name in BASELINES:
        files[name] = run.eval_table(split, name)
        make_score = partial(baseline_score, name, run, data, on_progress)
        jobs.append(_Job(name, make_score, baseline_source(name) | lists, baseline_protocol(protocol, name)))
    for job in jobs:
        before = _ranked_before(files[job.name], job)
        again = any_rank(before is None) or before is None
        table = _rank(job, config, data, histories, partial(on_progress, job.name)) if again else before
        assert table is not None
        if processes.world.rank == 0 and (again or table.source != job.source):
            replace(table, source=job.source).write(files[job.name])
    return files


def protocol_of(config: RunConfig, data: Data, split: str) -> Protocol:
    """The run's evaluation protocol."""
    negatives = negatives_of(config)
    return Protocol(
        manifest=data.manifest.digest,
        split=split,
        candidates="full" if negatives is None else negatives.phrase,
        filter_seen=config.evaluation.filter_seen,
    )


def baseline_protocol(protocol: Protocol, name: str) -> Protocol:
    """A baseline's protocol: the run's, but some baselines have nothing to say with seen items filtered."""
    return Protocol(protocol.manifest, protocol.split, protocol.candidates, protocol.filter_seen and BASELINES[name])


def negatives_of(config: RunConfig) -> Negatives | None:
    """Sampled candidates, when asked for."""
    evaluation = config.evaluation
    return Negatives(evaluation.sampled_negatives, evaluation.seed) if evaluation.candidates == "sampled" else None


def _rank(
    job: _Job, config: RunConfig, data: Data, histories: SplitHistories, on_progress: Callable[[int, int], None]
) -> EvalTable:
    world, parts = current_world(), list[RankedRows]()
    mine = range(world.rank, num_parts(histories), world.size)
    ranked = rank_split(
        job.make_score(),
        histories,
        data.vocabulary.train_count,
        parts=mine,
        filter_seen=job.protocol.filter_seen,
        top_k=config.evaluation.top_k,
        negatives=negatives_of(config),
    )
    for part in ranked:
        parts.append(part)
        on_progress(len(parts), len(mine))
    every = [part for rank in all_gather_parts(parts) for part in rank]
    return assemble(
        every,
        protocol=job.protocol,
        source=job.source,
        strata=data.manifest.strata,
        catalogue=ItemCatalogue.of(data.vocabulary.train_count),
        reach=read_reach(data.folder, data.manifest, job.protocol.split),
    )


def _ranked_before(path: Path, job: _Job) -> EvalTable | None:
    """The table that the job would come to, but for what has since become of the run; None when it is to be ranked.

    A damaged one is ranked again, and that is said.
    """
    if not path.exists():
        return None
    try:
        table = EvalTable.read(path)
    except UserError as error:
        if current_world().rank == 0:
            note(f"{error.args[0].removesuffix('; evaluate again')}: ranking again")
        return None
    same = table.protocol == job.protocol and {**table.source, KEY: 0} == {**job.source, KEY: 0}
    return table if same else None
