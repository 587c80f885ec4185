"""Build an index of a run's item vectors, measure it against the full ranking, and write both."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from ltrec.config.tree import RunConfig
from ltrec.core.errors import UserError
from ltrec.core.extension.extras import require
from ltrec.core.progress import Progress, silent
from ltrec.core.storage.whole_folder import refuse_other_folder, whole_folder
from ltrec.inference.item_lists import ItemLists
from ltrec.inference.lists import ListRules
from ltrec.inference.nearest.folder import INDEX, write_index
from ltrec.inference.nearest.graph import LIBRARY, ItemGraph, instructions, library_version
from ltrec.inference.nearest.measure import Measurement, Part, Sample, measure, sample_of
from ltrec.inference.nearest.options import MOST_EXPANSION, IndexOptions
from ltrec.inference.nearest.ranking import NearestRanking
from ltrec.run.build.components import Data
from ltrec.run.nearest.encoder import RunEncoder, load_encoder
from ltrec.run.nearest.sample import parts_of, sampled_chunks
from ltrec.run.process.rendezvous_env import Processes
from ltrec.run.scoring.protocol import num_candidates
from ltrec.version import __version__


@dataclass(frozen=True, slots=True)
class IndexRequest:
    """A request for an index.

    Attributes:
        out: its folder.
        options: of the graph.
        k: length of the lists that recall is about.
        least: recall that every stratum must reach; the expansion of searches is raised for it. None = it stays.
        users: at most about so many are measured.
        seed: they are drawn by.
        overwrite: whether another index in the folder may be replaced.
    """

    out: Path
    options: IndexOptions
    k: int
    least: float | None
    users: int
    seed: int
    overwrite: bool = False


@dataclass(frozen=True, slots=True)
class MadeIndex:
    """An index on disk.

    Attributes:
        options: as it is searched by default: with the expansion that was chosen.
        items: V.
        split: whose users were measured.
        users: how many.
        measured: against the full ranking.
        build_seconds: without measuring.
        bytes: of the graph's file.
        instructions: the processor's, with which the library computes.
    """

    options: IndexOptions
    items: int
    split: str
    users: int
    measured: Measurement
    build_seconds: float
    bytes: int
    instructions: str


def index_run(
    config: RunConfig,
    data: Data,
    checkpoint: Path,
    request: IndexRequest,
    processes: Processes,
    on_progress: Progress = silent,
    *,
    weights: str | None = None,
) -> MadeIndex:
    """Write the folder, and return what was measured.

    Args:
        config: of the run, with evaluation settings as overridden.
        data: its data set.
        checkpoint: one of its checkpoints.
        request: what is wanted.
        processes: this process.
        on_progress: called with the phase.
        weights: `raw` or `average`; None = the average if the run keeps one.

    Raises:
        UserError: a model that has no such vectors, or another folder at that place.
    """
    _refuse(request, data.manifest.vocab.items)
    require("index", "ltrec index")
    refuse_other_folder(request.out, INDEX, overwrite=request.overwrite)
    encoder = load_encoder(config, data, checkpoint, processes, weights=weights)
    graph, seconds = _built(encoder, request.options, on_progress)
    rules = ListRules(
        request.k, config.evaluation.filter_seen, ItemLists().allowed(data.vocabulary.item_id, num_candidates(config, data))
    )
    on_progress("measuring", 0, 0)
    split, chunks = sampled_chunks(config, data, request.users, request.seed)
    sample = sample_of(encoder.states, encoder.table_VD, rules, chunks)
    options, measured = _searched(request, encoder, graph, rules, sample, parts_of(config, data, sample))
    made = MadeIndex(options, len(graph), split, len(sample.exact_NK), measured, seconds, 0, instructions(graph))
    with whole_folder(request.out, INDEX, overwrite=request.overwrite) as folder:
        size = write_index(folder, graph, _facts(config, data, checkpoint, request, encoder, made, weights))
    return replace(made, bytes=size)


def _built(encoder: RunEncoder, options: IndexOptions, on_progress: Progress) -> tuple[ItemGraph, float]:
    """The graph, which this process's threads search, and the seconds that it took."""
    vectors_VD, start, threads = encoder.table_VD[1:].cpu().numpy(), time.perf_counter(), torch.get_num_threads()
    graph = ItemGraph.build(vectors_VD, options, options.threads or threads, partial(on_progress, "building"))
    seconds = time.perf_counter() - start
    graph.threads = threads
    return graph, seconds


def _refuse(request: IndexRequest, items: int) -> None:
    if not 1 <= request.k <= items:
        raise UserError(f"k is {request.k}; it must be at least 1, and the catalogue has {items} items")
    if request.least is not None and not 0 < request.least <= 1:
        raise UserError(f"--recall {request.least:g} is no share; it must be above 0 and at most 1")
    if request.users < 1:
        raise UserError(f"--users {request.users}: recall is measured on at least one user")


def _searched(
    request: IndexRequest, encoder: RunEncoder, graph: ItemGraph, rules: ListRules, sample: Sample, parts: list[Part]
) -> tuple[IndexOptions, Measurement]:
    """Measure, with a doubled expansion as long as a part is below the target."""
    expansion = request.options.expansion_search
    while True:
        ranking = NearestRanking(encoder.states, encoder.table_VD, graph, rules, expansion)
        measured = measure(sample, ranking, parts)
        enough = request.least is None or measured.least >= request.least
        if enough or expansion >= min(MOST_EXPANSION, max(len(graph), request.options.expansion_search)):
            return replace(request.options, expansion_search=expansion), measured
        expansion = min(2 * expansion, MOST_EXPANSION)


def _facts(
    config: RunConfig,
    data: Data,
    checkpoint: Path,
    request: IndexRequest,
    encoder: RunEncoder,
    made: MadeIndex,
    weights: str | None,
) -> dict[str, Any]:
    """The manifest without the file, as JSON values."""
    return {
        "run": config.name,
        "checkpoint": {"name": checkpoint.stem, "sha256": encoder.belongs.checkpoint, "weights": weights},
        "data": {"name": data.manifest.name, "digest": data.manifest.digest},
        "items": made.items,
        "width": encoder.table_VD.shape[1],
        "item_table": encoder.belongs.item_table,
        "options": asdict(made.options),
        "created_by": {"ltrec": __version__, LIBRARY: library_version()},
        "measured": {
            "k": request.k,
            "split": made.split,
            "users": made.users,
            "seed": request.seed,
            "recall": {key: found.to_dict() for key, found in made.measured.recall.items()},
        },
    }
