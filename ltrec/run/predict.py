"""Recommend for given histories: each user once, by any number of processes, resumable by shard."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from ltrec.config.tree import RunConfig
from ltrec.core.errors import UserError
from ltrec.core.progress import Progress, silent
from ltrec.core.storage.atomic import sha256_file
from ltrec.core.storage.run_folder import RunFolder
from ltrec.distributed.collectives import all_gather_parts, by_first, current_world
from ltrec.inference.answers import Answerer
from ltrec.inference.counts import Counts
from ltrec.inference.fallback import popularity_of_stratum
from ltrec.inference.given.files import GivenFiles, find_given
from ltrec.inference.given.form import Form, form_of
from ltrec.inference.given.histories import GivenHistories, Routing
from ltrec.inference.given.plan import ChunkPlan, plan_of
from ltrec.inference.item_lists import ItemLists
from ltrec.inference.job import PredictionJob
from ltrec.inference.lists import ListRules
from ltrec.inference.rankings import Ranking
from ltrec.run.build.components import Data, projected
from ltrec.run.build.strata import heirs_of, strata_of
from ltrec.run.nearest.use import ranking_of
from ltrec.run.process.rendezvous_env import Processes
from ltrec.run.scoring.protocol import num_candidates
from ltrec.training.checkpoints.io import whole_file
from ltrec.version import __version__

MOST_K = 32_767


@dataclass(frozen=True, slots=True)
class Request:
    """A request for recommendations.

    Attributes:
        source: the histories: a Parquet file, a folder of them, or a pattern.
        out: the folder of the answer.
        k: items per user.
        lists: items that may be recommended, and that may not.
        shard_users: users per file of the answer.
        overwrite: whether another answer in the folder may be replaced.
        index: folder of an index that ranks; None = all items are scored.
    """

    source: Path
    out: Path
    k: int
    lists: ItemLists
    shard_users: int
    overwrite: bool
    index: Path | None = None


def predict_histories(
    run: RunFolder,
    config: RunConfig,
    data: Data,
    checkpoint: Path,
    request: Request,
    processes: Processes,
    on_progress: Progress = silent,
    *,
    weights: str | None = None,
) -> Counts:
    """Answer all users and return what was counted. Every process must call it.

    Args:
        run: the run folder.
        config: of the run, with evaluation settings as overridden.
        data: its data set.
        checkpoint: one of its checkpoints.
        request: what is wanted.
        processes: this process among all.
        on_progress: called with the number of users of this process that are answered.
        weights: `raw` or `average`; None = the average if the run keeps one.

    Raises:
        UserError: the histories, the run or its data are at fault; nothing is left in the folder.
    """
    _refuse_k(request.k, data.manifest.vocab.items)
    rules = ListRules(
        request.k, config.evaluation.filter_seen, request.lists.allowed(data.vocabulary.item_id, num_candidates(config, data))
    )
    files = find_given(request.source)
    form = form_of(files.schema, data.manifest, projected(config, data.manifest), str(request.source))
    plan = by_first(lambda: plan_of(files, form, config.evaluation.chunk_rows, request.shard_users))
    make_ranking, own = ranking_of(run, config, data, checkpoint, rules, request.index, processes, on_progress, weights=weights)
    asked = _asked(config, data, checkpoint, request, files, plan) | {"weights": weights, **own}
    job = PredictionJob(request.out, asked, plan.num_shards)
    if by_first(lambda: job.begin(overwrite=request.overwrite)):
        return job.counts()
    ranking = make_ranking()
    fallback = partial(popularity_of_stratum, data.folder, data.manifest)
    answerer = Answerer(ranking, fallback, data.vocabulary.item_id)
    fault: str | None = None
    try:
        with closing(_histories(config, data, files, form, plan)) as histories:
            _answer_mine(job, plan, histories, answerer, ranking, on_progress)
    except UserError as error:
        fault = str(error)
    return _concluded(job, fault)


def _answer_mine(
    job: PredictionJob, plan: ChunkPlan, histories: GivenHistories, answerer: Answerer, ranking: Ranking, on_progress: Progress
) -> None:
    """Write the missing shards of this process."""
    world, done = current_world(), 0
    mine = [shard for shard in range(world.rank, plan.num_shards, world.size) if not job.is_done(shard)]
    total = sum(len(plan.chunks_of(shard)) for shard in mine)
    for shard in mine:
        parts, counts, exact = list[pa.Table](), Counts(), ranking.exact_users
        for index in plan.chunks_of(shard):
            chunk = histories.chunk(index)
            rows = answerer.answer(chunk)
            parts.append(rows)
            counts += chunk.counts + Counts(recommendations=len(rows["items"].combine_chunks().flatten()))
            done += 1
            on_progress("recommending", done, total)
        job.write(shard, pa.concat_tables(parts), counts + Counts(exact=ranking.exact_users - exact))


def _concluded(job: PredictionJob, fault: str | None) -> Counts:
    """Commit or remove the job, the same on all processes."""
    faults = [line for line in all_gather_parts(fault or "") if line]
    if faults:
        by_first(job.abandon)
        raise UserError(faults[0])
    return by_first(job.commit)


def _histories(config: RunConfig, data: Data, files: GivenFiles, form: Form, plan: ChunkPlan) -> GivenHistories:
    routing = Routing(
        config.stream.max_len, strata_of(config, data.manifest), heirs_of(config, data.manifest), projected(config, data.manifest)
    )
    return GivenHistories(files, form, plan, data.folder, data.manifest, data.vocabulary.item_id, routing)


def _asked(config: RunConfig, data: Data, checkpoint: Path, request: Request, files: GivenFiles, plan: ChunkPlan) -> dict[str, Any]:
    """Everything that the answer depends on, as JSON values."""
    evaluation = config.evaluation
    return {
        "k": request.k,
        "histories": files.identity(),
        "checkpoint": sha256_file(whole_file(checkpoint)),
        "data": data.manifest.digest,
        "filter_seen": evaluation.filter_seen,
        "candidates": evaluation.candidates,
        "lists": request.lists.identity(),
        "chunk_rows": evaluation.chunk_rows,
        "shard_users": plan.shard_chunks * evaluation.chunk_rows,
        "ltrec": __version__,
    }


def _refuse_k(k: int, items: int) -> None:
    if not 1 <= k <= min(items, MOST_K):
        whose = f"the catalogue has {items} items" if items <= MOST_K else f"the most is {MOST_K}"
        raise UserError(f"k is {k}; it must be at least 1, and {whose}")
