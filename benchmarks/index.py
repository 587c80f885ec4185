"""An index against the full ranking on a million synthetic items: recall@10 by stratum, and speed. `make bench-index`

    python benchmarks/index.py                        10^6 items, one thread
    python benchmarks/index.py --items 100000         fewer
    python benchmarks/index.py --run runs/mine        a trained run instead, by `ltrec index`

Items stand in clusters of very unequal size. Popular ones have longer vectors; items without training events (the last 5 %) stand
nearer to the middle of their cluster, as columns alone would place them. A user's state is the mean of the vectors of the history:
one cluster for the least active stratum, up to five for the most active, so that strata are not equally hard. Half of the history
is filtered.

The full ranking (all scores, filter, top k) and the index (search, exact scores of the candidates, filter, top k) take turns,
batch by batch, with one thread; `speed_up` is the ratio of their sums of seconds, `cpu_speed_up` of processor seconds. Both begin
with the states: the encoder is the same for both. The search is widened until every stratum of users and items has the recall
(0.95). A graph is kept in `--keep DIR`, where a repeated command finds it. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

import ltrec
from ltrec.core.batch import SequenceBatch
from ltrec.core.ragged import prefix_sums
from ltrec.core.storage.atomic import atomic_path
from ltrec.data.stream.reading.histories import HistoryChunk
from ltrec.inference.lists import ListRules
from ltrec.inference.nearest.graph import ItemGraph, instructions, library_version
from ltrec.inference.nearest.measure import found_in
from ltrec.inference.nearest.options import MOST_EXPANSION, IndexOptions
from ltrec.inference.nearest.ranking import NearestRanking
from ltrec.models.scoring import all_scores

K, STRATA, HISTORY, NEW_SHARE = 10, 5, 20, 0.05


def main() -> None:
    """Measure; the last line is one JSON object."""
    arguments = _arguments()
    torch.set_num_threads(1)
    if arguments.run:
        result = {"run": str(arguments.run), **ltrec.index(arguments.run, recall=arguments.recall, overwrite=True).to_dict()}
    else:
        result = _synthetic(arguments)
    machine = f"{platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}, usearch {library_version()}"
    print(json.dumps({"benchmark": "index", "machine": machine, **result}))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--batch", type=int, default=128, help="users ranked at once")
    parser.add_argument("--batches", type=int, default=2, help="of every stratum")
    parser.add_argument("--recall", type=float, default=0.95)
    parser.add_argument("--dtype", default="f16")
    parser.add_argument("--connectivity", type=int, default=16)
    parser.add_argument("--expansion-build", type=int, default=128)
    parser.add_argument("--threads", type=int, default=0, help="that build; 0 = all cores")
    parser.add_argument("--keep", type=Path, default=Path("build/bench-index"), help="folder of the graph")
    parser.add_argument("--run", type=Path, help="a trained run instead")
    return parser.parse_args()


def _synthetic(arguments: argparse.Namespace) -> dict[str, Any]:
    draw = np.random.default_rng(0)
    table_VD, cluster_V = item_table(draw, arguments.items, arguments.width)
    options = IndexOptions(arguments.connectivity, arguments.expansion_build, 16, arguments.dtype, arguments.threads)
    graph, found_graph = _graph(table_VD, options, arguments.keep)
    rules, batches = ListRules(K, filter_seen=True), list(user_batches(draw, table_VD, cluster_V, arguments))
    while True:
        found = _turns(NearestRanking(lambda _: table_VD, table_VD, graph, rules, options.expansion_search), batches)
        print(f"{options.expansion_search} in view: {found}", flush=True)
        if min(found["recall"].values()) >= arguments.recall or options.expansion_search >= MOST_EXPANSION:
            break
        options = IndexOptions(**{**asdict(options), "expansion_search": 2 * options.expansion_search})
    size = {"items": arguments.items, "width": arguments.width, **found_graph}
    return {**size, "options": asdict(options), "instructions": instructions(graph), "batch": arguments.batch, **found}


def item_table(draw: np.random.Generator, items: int, width: int) -> tuple[torch.Tensor, np.ndarray]:
    """Vectors [V+1, D], most popular item first, and the cluster of each."""
    clusters = max(8, items // 500)
    sizes = 1.0 / np.arange(1, clusters + 1) ** 0.6
    cluster_V = np.concatenate([[0], draw.choice(clusters, items, p=sizes / sizes.sum())])
    centres = draw.standard_normal((clusters, width), np.float32)
    place = np.arange(items + 1) / items
    spread = np.where(place > 1 - NEW_SHARE, 0.4, 0.7).astype(np.float32)
    table = centres[cluster_V] + spread[:, None] * draw.standard_normal((items + 1, width), np.float32)
    length = draw.lognormal(0, 0.2, items + 1) * np.where(place > 1 - NEW_SHARE, 1.1, 1.3 - 0.4 * place)
    table *= (0.1 * length[:, None]).astype(np.float32)
    table[0] = 0.0
    return torch.from_numpy(table), cluster_V


def user_batches(
    draw: np.random.Generator, table_VD: torch.Tensor, cluster_V: np.ndarray, arguments: argparse.Namespace
) -> Iterator[tuple[int, HistoryChunk, torch.Tensor]]:
    """Stratum, users and states."""
    order = np.argsort(cluster_V[1:], kind="stable") + 1
    starts = np.searchsorted(cluster_V[order], np.arange(cluster_V.max() + 2))
    for number in range(STRATA * arguments.batches):
        stratum, users = number % STRATA, arguments.batch
        own = cluster_V[draw.integers(1, len(cluster_V), (users, stratum + 1))]  # large clusters more often
        mine = own[np.arange(users)[:, None], draw.integers(0, stratum + 1, (users, HISTORY))]
        place = starts[mine] + (draw.random((users, HISTORY)) * (starts[mine + 1] - starts[mine])).astype(np.int64)
        items = torch.from_numpy(order[place])
        states = table_VD[items].mean(dim=1) + 0.02 * torch.from_numpy(draw.standard_normal((users, table_VD.shape[1]), np.float32))
        yield stratum, _chunk(items[:, : HISTORY // 2], stratum), states


def _chunk(items_BL: torch.Tensor, stratum: int) -> HistoryChunk:
    users, length = items_BL.shape
    offsets, flat = torch.from_numpy(prefix_sums(np.full(users, length))), items_BL.flatten()
    whole = torch.full((users,), length)
    batch = SequenceBatch.of_histories(flat, offsets, torch.full((users,), stratum), torch.arange(users))
    names = [f"u{user}" for user in range(users)]
    return HistoryChunk(0, batch, names, torch.full((users,), stratum), whole, whole, torch.zeros_like(whole), flat, offsets)


def _graph(table_VD: torch.Tensor, options: IndexOptions, keep: Path) -> tuple[ItemGraph, dict[str, Any]]:
    """The graph, from the folder or built, with its bytes, and if it was not there the seconds that it took."""
    file, facts = keep / f"{len(table_VD) - 1}-{options.dtype}-{options.connectivity}-{options.expansion_build}.usearch", {}
    if not file.exists():
        keep.mkdir(parents=True, exist_ok=True)
        start, cpu_start = time.perf_counter(), time.process_time()
        graph = ItemGraph.build(table_VD[1:].numpy(), options, options.threads or os.cpu_count() or 1, _heard)
        facts = {"build_seconds": time.perf_counter() - start, "build_cpu_seconds": time.process_time() - cpu_start}
        with atomic_path(file) as temporary:
            graph.save(temporary)
    return ItemGraph.open(file, 1), {"bytes": file.stat().st_size, **{name: round(value, 1) for name, value in facts.items()}}


def _heard(done: int, total: int) -> None:
    print(f"built {done:,} of {total:,}", flush=True)


def _turns(ranking: NearestRanking, batches: list[tuple[int, HistoryChunk, torch.Tensor]]) -> dict[str, Any]:
    """Recall by stratum, and how much faster."""
    seconds, exact, mine = np.zeros((2, 2)), list[np.ndarray](), list[np.ndarray]()
    for _, chunk, states_BD in batches:
        for side, lists in enumerate((exact, mine)):
            start, cpu_start = time.perf_counter(), time.process_time()
            if side:
                lists.append(ranking.best_of(states_BD, chunk, None)[1].numpy())
            else:
                seen = chunk.seen_T, chunk.seen_offsets
                lists.append(ranking.rules.best(all_scores(states_BD, ranking.table_VD), seen, None)[1].numpy())
            seconds[side] += time.perf_counter() - start, time.process_time() - cpu_start
    exact_NK, users = np.concatenate(exact), sum(len(states) for *_, states in batches)
    found_NK = found_in(exact_NK, np.concatenate(mine))
    stratum_N = np.repeat([stratum for stratum, *_ in batches], len(batches[0][2]))
    masks = {f"stratum={z}": np.broadcast_to((stratum_N == z)[:, None], exact_NK.shape) for z in range(STRATA)}
    place_NK = exact_NK / (len(ranking.table_VD) - 1)
    masks |= {"item=head": place_NK <= 0.2, "item=new": place_NK > 1 - NEW_SHARE}
    masks["item=tail"] = ~masks["item=head"] & ~masks["item=new"]
    return {
        "recall": {name: round(float(found_NK[mask].mean()), 4) for name, mask in masks.items() if mask.any()},
        "items_in_lists": {name: int(mask.sum()) for name, mask in masks.items() if name.startswith("item=")},
        "ms_per_user": round(float(1e3 * seconds[1, 0] / users), 3),
        "exact_ms_per_user": round(float(1e3 * seconds[0, 0] / users), 3),
        "speed_up": round(float(seconds[0, 0] / seconds[1, 0]), 2),
        "cpu_speed_up": round(float(seconds[0, 1] / seconds[1, 1]), 2),
        "users": users,
        "exact_users": ranking.exact_users,
    }


if __name__ == "__main__":
    main()
