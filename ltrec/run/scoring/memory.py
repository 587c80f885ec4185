"""The memory of a run, in its folder: counted once, with a weight chosen once per checkpoint.

memory/neighbours.parquet    which items follow which, with a digest
memory/similar.parquet       which items are alike by their columns, where columns are compared
memory/choices.json          the weight beside each checkpoint's network, with all weights that were tried

Training makes both for its best checkpoint at its end. Evaluation and prediction make what is missing, for another checkpoint or a
run that was killed. Existing files are used; damaged ones are reported and made again. One process counts; all of them rank the
validation users with every weight, each its own chunks, so that the choice is the same for any number of processes.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ltrec.config.tree import RunConfig
from ltrec.core.progress import Progress, silent
from ltrec.core.storage.atomic import sha256_file
from ltrec.core.storage.run_folder import RunFolder
from ltrec.data.neighbours.similar import compared_columns
from ltrec.data.neighbours.table import Neighbours
from ltrec.data.stream.reading.histories import HistoryChunk, Score
from ltrec.distributed.collectives import all_gather_parts, by_first, current_world
from ltrec.evaluation.memory.config import MemoryConfig
from ltrec.evaluation.memory.scores import Memory
from ltrec.evaluation.memory.share import choose_share
from ltrec.evaluation.memory.text import memory_facts, memory_text
from ltrec.evaluation.memory.weighing import Ranked, WeightChoice, choose, rank_by_weight
from ltrec.evaluation.table import SEEN
from ltrec.run.build.components import Data, build_histories, seen_items
from ltrec.run.build.strata import strata_of
from ltrec.run.process.processes import device_of
from ltrec.run.process.rendezvous_env import Processes
from ltrec.run.scoring.memory_choices import find_choice, save_choice
from ltrec.run.scoring.neighbour_counts import load_or_count
from ltrec.run.scoring.scorer import RunMemory, load_score, make_memory
from ltrec.terminal.screen import note, say
from ltrec.training.checkpoints.form import AVERAGE
from ltrec.training.checkpoints.io import whole_file


def memory_of(
    run: RunFolder,
    config: RunConfig,
    data: Data,
    checkpoint: Path,
    processes: Processes,
    on_progress: Progress = silent,
    *,
    weights: str | None = None,
) -> RunMemory | None:
    """The memory beside a checkpoint's network, made if it is missing; None if the run has none. Every process must call it.

    Args:
        run: the run folder.
        config: of the run, with evaluation settings as overridden.
        data: its data set.
        checkpoint: one of its checkpoints.
        processes: this process among all.
        on_progress: called with the progress of counting and of choosing the weight.
        weights: of the network: `raw` or `average`; None = the average if the run keeps one.

    Raises:
        UserError: the data or the checkpoint are damaged.
    """
    if config.memory is None:
        return None
    neighbours, device = neighbours_of(run, config.memory, data, on_progress), device_of(processes, config.trainer.accelerator)
    similar = similar_of(run, config.memory, data, on_progress)
    settings, filter_seen = config.memory, config.evaluation.filter_seen
    memory = make_memory(settings, neighbours.to(device), similar and similar.to(device), filter_seen=filter_seen)
    sha, digest, path = sha256_file(whole_file(checkpoint)), neighbours.digest, run.memory_choices
    made_for = _made_for(settings, filter_seen, sha, digest) | ({"weights": weights or AVERAGE} if config.trainer.ema else {})
    if similar is not None:
        made_for |= {"similar": similar.digest, "content_shares": list(settings.content_shares)}
    made_for |= {"candidates": SEEN} if config.evaluation.candidates == SEEN else {}
    choice = by_first(lambda: find_choice(path, made_for, note))
    chosen = choice is None
    if choice is None:
        network = load_score(config, data, checkpoint, processes, None, weights=weights, sha=sha)
        choice = choose_weights(config, settings, data, memory, network, on_progress)
    facts = memory_facts(settings.form, digest, choice)
    if chosen and current_world().rank == 0:
        save_choice(path, made_for, choice)
        say(f"memory beside {checkpoint.name}: {memory_text(facts)}")
    return RunMemory(replace(memory, share=choice.share), choice, sha, facts)


def _made_for(memory: MemoryConfig, filter_seen: bool, sha: str, neighbours: str) -> dict[str, Any]:
    """All that a choice depends on, as JSON values."""
    return {
        "checkpoint_sha256": sha,
        "neighbours": neighbours,
        "form": memory.form,
        "grid": list(memory.grid),
        "per_stratum": memory.per_stratum,
        "shrinkage": memory.shrinkage,
        "decay": memory.decay,
        "last": memory.last,
        "filter_seen": filter_seen,
    }


def neighbours_of(run: RunFolder, config: MemoryConfig, data: Data, on_progress: Progress = silent) -> Neighbours:
    """The run's neighbours, from its folder or counted now. Every process must call it.

    Raises:
        UserError: the data are damaged.
    """
    return load_or_count(run.memory_neighbours, config.counting, data, partial(on_progress, "counting neighbours"))


def similar_of(run: RunFolder, config: MemoryConfig, data: Data, on_progress: Progress = silent) -> Neighbours | None:
    """Items that are similar by their columns, as above; None if no columns are compared. Every process must call it.

    Raises:
        UserError: the data are damaged, or lack such a column.
    """
    if not compared_columns(data.manifest, config.content) or config.content_shares == (0.0,):
        return None
    return load_or_count(run.memory_similar, config.content, data, partial(on_progress, "comparing items"))


def choose_weights(
    config: RunConfig, settings: MemoryConfig, data: Data, memory: Memory, network: Score, on_progress: Progress = silent
) -> WeightChoice:
    """Choose the weight, and where similarity is known its share (`share.py`), by NDCG@10 on the validation split. If there
    is only one choice, nothing is ranked. Every process must call it.

    Args:
        config: of the run.
        settings: of the memory.
        data: its data set.
        memory: whose weight is chosen.
        network: users -> scores.
        on_progress: called with the number of chunks that this process has ranked.
    """
    shares = (0.0,) if memory.similar is None else settings.content_shares
    mine = _ranked(config, settings, data, [replace(memory, share=share) for share in shares], network, on_progress)
    ranked = {share: _of_all_processes(parts) for share, parts in zip(shares, mine, strict=True)}
    return choose_share({share: _chosen(config, settings, data, parts) for share, parts in ranked.items()}, ranked)


def _ranked(
    config: RunConfig, settings: MemoryConfig, data: Data, memories: list[Memory], network: Score, on_progress: Progress
) -> list[list[Ranked]]:
    """Rank this process's part of the validation split under each memory; the network scores every chunk once."""
    world, histories, seen = current_world(), build_histories(config, data, "valid"), seen_items(config, data)
    choosing = len(settings.grid) * len(memories) > 1
    mine, found = range(world.rank, len(histories) if choosing else 0, world.size), [list[Ranked]() for _ in memories]
    for done, index in enumerate(mine, 1):
        chunk = histories.chunk(index)
        known = _known(network, chunk)
        for memory, parts in zip(memories, found, strict=True):
            parts.extend(rank_by_weight(memory, known, [chunk], settings.grid, seen))
        on_progress("weighing the memory", done, len(mine))
    return found


def _known(network: Score, chunk: HistoryChunk) -> Score:
    """A network's scores of one chunk, computed once and returned as copies."""
    with torch.inference_mode():
        scores_BV = network(chunk)

    def score(_: HistoryChunk) -> Tensor:
        return scores_BV.clone()

    return score


def _of_all_processes(mine: list[Ranked]) -> list[Ranked]:
    return [part for of_rank in all_gather_parts(mine) for part in of_rank]


def _chosen(config: RunConfig, settings: MemoryConfig, data: Data, ranked: list[Ranked]) -> WeightChoice:
    """The weight of a memory, by all users."""
    return choose(
        ranked,
        settings.grid,
        fallback=settings.fallback,
        num_strata=strata_of(config, data.manifest).count if settings.per_stratum else 0,
        shrinkage=settings.shrinkage,
    )
