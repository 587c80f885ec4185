"""What is measured: logs, backbones, methods, and the settings that each may choose from. All of it is in these tables.

What all share stands in conf/experiment/longtail.yaml. The budget of tuning is the same for everyone: `BUDGET` settings, seed 0,
judged by validation NDCG@10 over all users, the number that stops training and picks the checkpoint. Joint training chooses first,
among settings of the backbone and the optimiser, and what it chooses everybody else takes over; theirs are settings of the method
itself. So where tuning favours anyone, it favours the baseline.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from benchmarks.harness.conf_methods import FILES
from benchmarks.harness.ledger import Words

CONF = Path(__file__).parents[2] / "conf"
SHARED = CONF / "experiment" / "longtail.yaml"

BUDGET = 4
"""Most settings a method may try on a log and a backbone. Rivals try three, on what joint training has found with its own."""

SEEDS: tuple[int, ...] = (0, 1, 2, 3, 4)
"""Fixed before anything was run."""

RIVAL_SEEDS = SEEDS[:3]

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
"""Logs that rivals are tried on, which take most of the time."""

SHAPES: dict[str, Words] = {
    "narrow": ("model.width=64", "model.dropout=0.5", "optim.lr=2e-3"),
    "wide": ("model.width=128", "model.dropout=0.5", "optim.lr=2e-3"),
    "light": ("model.width=64", "model.dropout=0.3", "optim.lr=2e-3"),
}
GENTLE: Words = ("model.width=128", "model.dropout=0.5", "optim.lr=1e-3")

SASREC: dict[str, Words] = {**SHAPES, "distance": (*SHAPES["wide"], "model.positions=distance")}
GRU4REC: dict[str, Words] = {name: ("model.hidden=128", *words) for name, words in {**SHAPES, "gentle": GENTLE}.items()}

MODELS: dict[str, dict[str, Words]] = {"sasrec": SASREC, "gru4rec": GRU4REC}
"""Backbone -> setting -> words of the command line: what joint training chooses from."""


@dataclass(frozen=True, slots=True)
class Rival:
    """A method beside joint training.

    Attributes:
        file: of conf/method or its zoo.
        settings: words of the command line by setting, put on what joint training has chosen.
        words: of all of them.
    """

    file: str
    settings: dict[str, Words]
    words: Words = ()


CVAR: dict[str, Words] = {f"worst-{share}": (f"emphasis.alpha=0.{share}",) for share in (2, 5, 8)}

RIVALS: dict[str, Rival] = {
    "pin": Rival(
        "pin",
        {
            "gentle": ("gradients.prior.name=user",),
            "by-events": ("gradients.prior.name=event",),
            "slower": ("gradients.prior.name=event", "plugin.switch.plugin_rate=0.02"),
        },
        ("plugin.switch.plugin_rate=0.1",),
    ),
    "ltp": Rival(
        "ltp",
        {"chains": (), "lighter": ("adversary.weight=0.01",), "shorter": ("gradients.inner_lr=0.03",)},
        ("gradients.trajectories=6",),
    ),
    "group-dro": Rival("group-dro", {"as-is": (), "slow": ("gradients.rule.eta=0.001",), "head-tail": ("strata=2",)}),
    "streaming-dro": Rival("streaming-dro", {"as-is": (), "slow": ("gradients.rule.eta=0.001",), "head-tail": ("strata=2",)}),
    "cvar-target": Rival("cvar-dro", CVAR),
    "cvar-user": Rival("cvar-dro", CVAR, ("stream.unit=user",)),
    "upgrad": Rival("upgrad", {"as-is": (), "head-tail": ("strata=2",), "by-users": ("gradients.prior.name=user",)}),
    "melt": Rival("melt", {"as-is": (), "lighter": ("plugin.weight=0.05",), "heavier": ("plugin.weight=0.5",)}),
    "group-finetune": Rival(
        "group-finetune",
        {"gentle": (), "five": ("strata=5",), "slower": ("plugin.switch.plugin_rate=0.02",)},
        ("plugin.switch.plugin_rate=0.1",),
    ),
}
"""Name -> rival. PIN's plugins and whole copies learn slowly, for at the full rate they overfit within an epoch; LTP's tasks hold
several users, for with one of them a run would take an hour (benchmarks/LOG.md)."""

METHODS: Words = (BASE, *RIVALS)

UNTRAINED = "none"
"""The method of what is ranked once for a log."""

BASELINES: Words = ("popularity", "item-knn", "transitions")
"""What that is, by ltrec's own names; `transitions` are the memory without a network."""


def files(model: str, method: str) -> list[Path]:
    """Files of a method's config with a backbone, left to right."""
    file = RIVALS[method].file if method in RIVALS else method
    return [CONF / "model" / f"{model}.yaml", SHARED, FILES[file][0]]


def settings(model: str, method: str) -> dict[str, Words]:
    """What a method may choose from on a backbone."""
    if method not in RIVALS:
        return MODELS[model]
    rival = RIVALS[method]
    return {name: (*rival.words, *words) for name, words in rival.settings.items()}


def variants(method: str) -> Words:
    """What is ranked from a single run of a method."""
    return ("raw", "ema", "mix", "ridge", "log", "strata", "tail", "permuted") if method == BASE else ("ema", "ridge")


def variants_of_two(method: str) -> Words:
    """What is ranked from a run and the one with the next seed."""
    return ("two", "two-mix") if method == BASE else ()
