"""Which settings make another run, and the eight hex digits of them that a name may carry.

    name: pin-{digest}     ->  pin-3f9a01c2, the same for the same settings, so that repeating a command resumes its run

A loop over learning rates is then as many runs, in folders of their own. A name without `{digest}` is taken as it is.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, replace
from hashlib import sha256
from typing import Any

from ltrec.config.tree import DIGEST, RunConfig

# Changing these does not make another run: how long, where, and how it is shown.
FREE_TO_CHANGE: tuple[str, ...] = (
    "data.path",  # a data set may move; its digest identifies it
    "data.cache.",
    "stream.on_damage",  # a run that damage ended may go on with the other policy
    "stream.damage_budget",
    "trainer.max_epochs",
    "trainer.patience",
    "trainer.progress",
    "trainer.threads",
    "trainer.accelerator",
    "trainer.log_",
    "trainer.listen_every_steps",
    "trainer.checkpoint_every_steps",
    "trainer.stall_seconds",
    "trainer.timeout_seconds",
    "tracking.",
    "evaluation.",
    "prepare.",
    "resume",
    "out",
)

# The digest takes these keys by their first name, so that runs from before they were renamed keep the digest in theirs.
_FIRST_NAMES = {"stream.buffer_blocks": "stream.window_blocks"}

LATER: dict[str, Any] = {
    "inputs.items": (),
    "inputs.events": (),
    "inputs.users": (),
    "inputs.id_dropout": 0.0,
    "inputs.id_neighbours": 0,
    "model.time_bias": False,
    "plugin.content.columns": (),
    "plugin.content.power": 2.0,
    "plugin.content.neighbours": 50,
    "plugin.content.most_holders": 10_000,
    "plugin.content_shares": (0.0, 0.1),
    "plugin.counting.ridge": 0.0,
    "plugin.counting.sources": 100,
    "gradients.rows": "auto",
    "stream.shuffle_shards": 0,
    "stream.on_damage": "fail",
    "stream.damage_budget": 0.01,
}
"""Keys that came later: at their default a run is what it was before there was such a key, and so is its digest."""


def named(config: RunConfig) -> RunConfig:
    """The config with `{digest}` in its name filled in."""
    return replace(config, name=config.name.replace(DIGEST, digest_of(config))) if DIGEST in config.name else config


def digest_of(config: RunConfig) -> str:
    """Eight hex digits of all that makes this run another one: whatever is not free to change, and the place of the data."""
    settings = [(key, value) for key, value in flat(asdict(config)).items() if (key, value) not in LATER.items()]
    values = {_FIRST_NAMES.get(key, key): value for key, value in settings if key != "name" and not key.startswith(FREE_TO_CHANGE)}
    values["data.path"] = os.path.normpath(config.data.path)
    return sha256(repr(sorted((key, _alike(value)) for key, value in values.items())).encode()).hexdigest()[:8]


def _alike(value: Any) -> Any:
    """One form of values that are equal: 1 and 1.0, a list and a tuple."""
    if isinstance(value, tuple | list):
        return [_alike(element) for element in value]
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def differing(mine: RunConfig, theirs: RunConfig) -> dict[str, tuple[Any, Any]]:
    """Keys on which two configs differ and that make another run, with both values: a variant before its options, the name last."""
    a, b = flat(asdict(mine)), flat(asdict(theirs))
    keys = sorted(a.keys() | b.keys(), key=lambda key: (key == "name", not key.endswith(".name"), key))
    return {key: (a.get(key), b.get(key)) for key in keys if a.get(key) != b.get(key) and not key.startswith(FREE_TO_CHANGE)}


def flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """A config's values by their dotted keys."""
    found: dict[str, Any] = {}
    for key, value in tree.items():
        found |= flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return found
