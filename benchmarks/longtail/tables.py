"""What is measured: logs, backbones, methods, and the settings that each may choose from. All of it is in these tables.

What all share stands in conf/experiment/longtail.yaml. The budget of tuning is the same for everyone: `BUDGET` settings, seed 0,
judged by validation NDCG@10 over all users, the number that stops training and picks the checkpoint. Joint training chooses first,
among settings of the backbone and the optimiser, and what it chooses everybody else takes over; theirs are settings of the method
itself. So where tuning favours anyone, it favours the baseline.
"""

from __future__ import annotations

from pathlib import Path

from benchmarks.harness.ledger import Words

CONF = Path(__file__).parents[2] / "conf"
SHARED = CONF / "experiment" / "longtail.yaml"

BUDGET = 4
"""Most settings a method may try on a log and a backbone."""

SEEDS = (0, 1, 2, 3, 4)
"""Fixed before anything was run. Rivals take the first three."""

BASE = "joint"

LOGS: dict[str, Words] = {
    "music": ("prepare.strata_bounds=[1,3,4,6,12]",),
    "beauty": (),
    "toys": (),
    "steam": (),
    "retailrocket": (),
    "yelp": (),
    "sports": (),
    "ml-1m": (),
}
"""Log -> how it is prepared, beside conf/experiment/longtail.yaml. Quintiles of Music would begin with a stratum of single events,
which trains nothing. A third of RetailRocket's targets are in their histories; the filter of seen items leaves them in, as it does
every target, and leaves out the rest of the history."""

RIVALS_ON = ("music", "beauty", "retailrocket")

SASREC: dict[str, Words] = {
    "narrow": ("model.width=64", "model.dropout=0.5", "optim.lr=2e-3"),
    "wide": ("model.width=128", "model.dropout=0.5", "optim.lr=2e-3"),
    "gentle": ("model.width=128", "model.dropout=0.5", "optim.lr=1e-3"),
    "light": ("model.width=64", "model.dropout=0.3", "optim.lr=1e-3"),
}

GRU4REC: dict[str, Words] = {name: ("model.hidden=128", *words) for name, words in SASREC.items()}

MODELS: dict[str, dict[str, Words]] = {"sasrec": SASREC, "gru4rec": GRU4REC}
"""Backbone -> setting -> words of the command line: what joint training chooses from."""

RIVALS: dict[str, dict[str, Words]] = {}
"""File of conf/method -> setting -> words of the command line."""

METHODS: Words = (BASE, *RIVALS)

UNTRAINED = "none"
"""The method of what is ranked once for a log."""

BASELINES: Words = ("popularity",)
"""What that is; `benchmarks.longtail.baselines` makes them."""


def files(model: str, method: str) -> list[Path]:
    """Files of a method's config with a backbone, left to right."""
    return [CONF / "model" / f"{model}.yaml", SHARED, CONF / "method" / f"{method}.yaml"]


def variants(method: str) -> Words:
    """What is ranked from a single run of a method."""
    return ("raw", "ema", "mix", "log", "strata", "tail", "permuted") if method == BASE else ("ema", "mix")


def variants_of_two(method: str) -> Words:
    """What is ranked from a run and the one with the next seed."""
    return ("two", "two-mix") if method == BASE else ()


def settings(model: str, method: str) -> dict[str, Words]:
    """What a method may choose from on a backbone."""
    return MODELS[model] if method == BASE else RIVALS[method]
