"""How a run's users are ranked: by all scores, or by an index of its item vectors."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

from ltrec.config.tree import RunConfig
from ltrec.core.extension.extras import require
from ltrec.core.progress import Progress
from ltrec.core.storage.run_folder import RunFolder
from ltrec.inference.lists import ListRules
from ltrec.inference.nearest.folder import open_index
from ltrec.inference.nearest.ranking import NearestRanking
from ltrec.inference.rankings import FullRanking, Ranking
from ltrec.run.build.components import Data
from ltrec.run.nearest.encoder import load_encoder
from ltrec.run.process.rendezvous_env import Processes
from ltrec.run.scoring.memory import memory_of
from ltrec.run.scoring.scorer import load_score


def ranking_of(
    run: RunFolder,
    config: RunConfig,
    data: Data,
    checkpoint: Path,
    rules: ListRules,
    index: Path | None,
    processes: Processes,
    on_progress: Progress,
    *,
    weights: str | None,
) -> tuple[Callable[[], Ranking], dict[str, str]]:
    """What makes the ranking, and what it depends on besides the checkpoint and the settings, by name. Every process must call it.

    All scores need the network only when the ranking is made, so who has nothing left to recommend loads none.

    Args:
        run: the run folder.
        config: of the run, with evaluation settings as overridden.
        data: its data set.
        checkpoint: one of its checkpoints.
        rules: what may be recommended.
        index: folder of an index; None = all items are scored.
        processes: this process among all.
        on_progress: called with the progress of counting.
        weights: `raw` or `average`; None = the average if the run keeps one.

    Raises:
        UserError: the checkpoint is at fault, or the index is damaged or not of these weights.
    """
    if index is None:
        memory = memory_of(run, config, data, checkpoint, processes, on_progress, weights=weights)

        def make() -> Ranking:
            return FullRanking(load_score(config, data, checkpoint, processes, memory, weights=weights), rules)

        return make, {"memory": str(memory and memory.facts)}
    require("index", "--index")
    encoder = load_encoder(config, data, checkpoint, processes, weights=weights)
    graph, facts = open_index(index, encoder.belongs, torch.get_num_threads())
    expansion, sha = facts["options"]["expansion_search"], facts["file"]["sha256"]
    ranking = NearestRanking(encoder.states, encoder.table_VD, graph, rules, expansion)
    return lambda: ranking, {"memory": "None", "index": f"{sha}, {expansion} in view"}
