"""Users on whom an index is measured: as many of every stratum, drawn by a seed, from the test split."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ltrec.config.tree import RunConfig
from ltrec.data.stream.reading.histories import HistoryChunk
from ltrec.evaluation.catalogue import ItemCatalogue
from ltrec.evaluation.groups.targets import item_strata
from ltrec.evaluation.groups.users import groups_of
from ltrec.inference.nearest.measure import Part, Sample
from ltrec.run.build.components import Data, build_histories

AT_ONCE = 256
"""Users that are ranked at once, by the index and by the full ranking."""


def sampled_chunks(config: RunConfig, data: Data, users: int, seed: int) -> tuple[str, list[HistoryChunk]]:
    """The split, and chunks of its users, at most about `users`; strata are drawn in turn, until they have no more chunks."""
    evaluation = replace(config.evaluation, chunk_rows=min(config.evaluation.chunk_rows, AT_ONCE, max(1, users)))
    for split in ("test", "valid", "all"):
        histories = build_histories(replace(config, evaluation=evaluation), data, split)
        if len(histories):
            break
    stratum_N, _ = histories.strata_and_activity() if split != "all" else (np.zeros(histories.num_rows, np.int64), None)
    chosen = _chosen(stratum_N[: histories.num_rows], evaluation.chunk_rows, max(1, users // evaluation.chunk_rows), seed)
    return split, [histories.chunk(index) for index in chosen]


def _chosen(stratum_N: np.ndarray, rows: int, count: int, seed: int) -> list[int]:
    """Numbers of chunks, ascending: a random one of each stratum, and more of each in turn until there are `count`."""
    draw, chunk_N = np.random.default_rng(seed), np.arange(len(stratum_N)) // rows
    queues = [draw.permutation(np.unique(chunk_N[stratum_N == z])).tolist() for z in np.unique(stratum_N)]
    found = {queue.pop() for queue in queues}
    while len(found) < count and any(queues):
        for queue in filter(None, queues):
            if len(found) < count:
                found.add(queue.pop())
    return sorted(found)


def parts_of(config: RunConfig, data: Data, sample: Sample) -> list[Part]:
    """Groups of users and strata of items, as evaluation has them; those that are there."""
    cut, strata = config.evaluation.head_from, data.manifest.strata
    everyone = np.ones(len(sample.exact_NK), np.bool_)
    users = groups_of(
        sample.column("stratum_B"),
        sample.column("activity_B"),
        everyone,
        ~everyone,
        strata if cut is None else replace(strata, head_from=cut),
    )
    catalogue = ItemCatalogue.of(data.vocabulary.train_count)
    count_NK = data.vocabulary.train_count.numpy()[sample.exact_NK]
    items = [
        replace(group, mask_N=group.mask_N & (sample.exact_NK > 0))
        for group in item_strata(catalogue, config.evaluation.item_shares, count_NK)
    ]
    return [Part(group.key, group.label, group.mask_N) for group in (*users, *items) if group.mask_N.any()]
