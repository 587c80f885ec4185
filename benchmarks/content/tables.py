"""The cells of the benchmark: logs with item columns, joint training on ids alone and with columns, and the settings of both.

Shared settings are in conf/experiment/longtail.yaml, those of prepare in conf/data. Both methods try the same settings of the
backbone with seed 0, and choose independently by validation NDCG@10 over all users: equal budgets.
"""

from __future__ import annotations

from pathlib import Path

from benchmarks.harness.conf_methods import FILES
from benchmarks.harness.ledger import Words
from benchmarks.longtail.tables import GRU4REC, SASREC, SHARED

CONF = Path(__file__).parents[2] / "conf"

LOGS = {"beauty": "beauty", "sports": "sports", "toys": "toys", "ml-100k": "ml-100k-columns"}
"""Log -> file of conf/data that declares its item columns."""

_DIN: Words = ("trainer.ema=2", "trainer.max_epochs=60", "trainer.patience=4")
DIN: dict[str, Words] = {
    "narrow": (*_DIN, "model.width=32", "optim.lr=2e-3"),
    "wide": (*_DIN, "model.width=64", "optim.lr=2e-3"),
    "dropped": (*_DIN, "model.width=64", "model.dropout=0.3", "optim.lr=2e-3"),
    "gentle": (*_DIN, "model.width=64", "model.dropout=0.3", "optim.lr=1e-3"),
}
"""DIN scores candidates one by one, so it uses the objective of its own file, and repeats the other shared settings."""

MODELS: dict[str, dict[str, Words]] = {"sasrec": SASREC, "gru4rec": GRU4REC, "din": DIN}
"""Backbone -> setting -> overrides, from which both methods choose."""

SEEDS: tuple[int, ...] = (0, 1, 2)
"""Fixed before any run."""

BASE = "ids"
METHODS: dict[str, Words] = {BASE: (), "content": ("inputs.items=[all]", "inputs.id_dropout=0.1")}
"""Method -> overrides: item columns in the trunk, or not. Without dropout of ids, columns make a trunk fit faster and generalise
worse (Sports, validation of seed 0; LOG.md)."""

UNTRAINED = "none"
BASELINES: Words = ("popularity", "item-knn", "transitions")


def files(model: str, _method: str) -> list[Path]:
    """Files of the config, left to right."""
    shared = [] if model == "din" else [SHARED]
    return [CONF / "model" / f"{model}.yaml", *shared, FILES["joint"][0]]


def settings(model: str, method: str) -> dict[str, Words]:
    """The backbone's settings, the same for every method."""
    return {name: (*words, *METHODS[method]) for name, words in MODELS[model].items()}


def variants(_method: str) -> Words:
    """Scorers of a run: the trunk, the trunk with a memory of transitions, and with one that also has similar items."""
    return ("ema", "mix", "mix-content")


def variants_of_two(_method: str) -> Words:
    """None."""
    return ()
