"""A process of the benchmark: train a run, rank with its variants if asked, leave one JSON file and the ranks.

    python -m benchmarks.longtail.work JOB.json

What a job asks: `task` is

    tune       train; the validation of the best checkpoint is all that is looked at
    final      train (nothing is left to do if that was done), then rank `variants` on validation and test
    two        rank variants of two trained runs, this one and that of `partner`
    log        rank what needs no training (`baselines`), and keep what is known of the users
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness.child import Job, serve, timed_training
from benchmarks.harness.measures import commit, epochs, validation
from benchmarks.longtail.ranking import means, rank_together
from benchmarks.longtail.ranks import clipped, users_digest, write_users
from benchmarks.longtail.variants import OF_ONE, OF_TWO, Trunk, Variant, open_trunk
from ltrec.config.load import load
from ltrec.config.tree import RunConfig
from ltrec.core.storage.atomic import atomic_path
from ltrec.core.storage.run_folder import RunFolder
from ltrec.data.reach import read_reach
from ltrec.run.build.components import Data, open_data
from ltrec.run.checkpoint.find_checkpoint import find_checkpoint
from ltrec.run.checkpoint.training_facts import training_facts
from ltrec.run.folder.config_file import folder_of
from ltrec.run.scoring.baselines import baseline_score
from ltrec.training.checkpoints.io import look_into

OfOne = Mapping[str, Callable[[Trunk], Variant]]


def work(job: Job, of_one: OfOne = OF_ONE) -> dict[str, Any]:
    """Do what the job asks; lines of results, without the facts that the asker knows. `of_one`: variants of a single run."""
    config, asks = load([job.config], []), job.asks
    if asks["task"] == "log":
        return rank_log(config, asks)
    found = training(config)
    if asks["task"] == "tune":
        return found
    data = open_data(config)
    trunk = open_trunk(config, data)
    makers = {name: partial(of_one[name], trunk) for name in asks["variants"]} if asks["task"] == "final" else {}
    if asks["task"] == "two":
        partner = load([asks["partner"]], [])
        timed_training(partner)
        other = open_trunk(partner, data)
        makers = {name: partial(OF_TWO[name], trunk, other) for name in asks["variants"]}
    return found | {"ranked": rank(makers, config, data, asks)}


def training(config: RunConfig) -> dict[str, Any]:
    """Train to the end; what is known of it."""
    seconds = timed_training(config)
    run = folder_of(config)
    checkpoint = find_checkpoint(run, "best")
    return {
        "validation": validation(run),
        **epochs(run),
        "seconds": round(seconds["wall"], 1),
        "busy": round(seconds["wall"] / max(seconds["processor"], 1e-9), 2),
        "commit": commit(run),
        "trained": training_facts(checkpoint, look_into(checkpoint), config).to_dict(),
    }


def rank(variants: Mapping[str, Callable[[], Variant]], config: RunConfig, data: Data, asks: Mapping[str, Any]) -> dict[str, Any]:
    """Choose what is to be chosen, rank validation, then test, once.

    Ranks are written to the requested file; means on validation and what was chosen are returned by variant.
    """
    made, choosing = {}, {}
    for name, make in variants.items():
        started = time.process_time()
        made[name] = make()
        choosing[name] = round(time.process_time() - started, 1)
    scores, started = {name: variant.score for name, variant in made.items()}, time.process_time()
    valid = rank_together(scores, config, data, "valid")
    test = rank_together(scores, config, data, "test")
    seconds = round((time.process_time() - started) / max(1, len(scores)), 1)
    with atomic_path(Path(asks["ranks"])) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **{name: clipped(table) for name, table in test.items()})
    users = users_digest(next(iter(test.values())))
    facts = {"seconds": seconds, "users": users}
    return {
        name: {"validation": means(valid[name]), "chosen": variant.chosen, "choosing": choosing[name], **facts}
        for name, variant in made.items()
    }


def rank_log(config: RunConfig, asks: Mapping[str, Any]) -> dict[str, Any]:
    """Rank with the baselines, and write down the users."""
    data, run = open_data(config), folder_of(config)
    found = rank({name: partial(_baseline, name, run, data) for name in asks["variants"]}, config, data, asks)
    popularity = rank_together({"popularity": baseline_score("popularity", run, data)}, config, data, "test")["popularity"]
    write_users(Path(asks["users"]), popularity, read_reach(data.folder, data.manifest, "test"))
    return {"ranked": found}


def _baseline(name: str, run: RunFolder, data: Data) -> Variant:
    return Variant(baseline_score(name, run, data), {})


if __name__ == "__main__":
    serve(work)
