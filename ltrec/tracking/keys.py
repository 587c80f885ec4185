"""Every key of metrics.jsonl and W&B, and how W&B summarises a run by it. Keys are stable: dashboards depend on them.

<z> is a stratum's number, 0 the least active; <metric> is hr@10, ndcg@10; <group> is head, tail or stratum=<z>. Only
`throughput/` and `health/` depend on a clock: everything else is the same whenever a run is repeated.
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase

from ltrec.core.storage.chain import DIGEST


@dataclass(frozen=True, slots=True)
class Key:
    """A key or, with *, a family of them.

    Attributes:
        pattern: as of fnmatch.
        meaning: for people.
        summary: what W&B keeps of a run, its best value: max or min; the last value when None.
    """

    pattern: str
    meaning: str
    summary: str | None = None


CLOCKS = ("throughput/", "health/", DIGEST)
"""Prefixes of what differs whenever a run is repeated; the digest of a line is over its clocks, too."""

KEYS = (
    Key("epoch", "passes over the data"),
    Key("stage", "1, or 2 once plugins are awake; only with plugins"),
    Key("train/loss", "mean loss of all examples since the last line", "min"),
    Key("train/loss/*", "the same of stratum <z>"),
    Key("lr", "learning rate of the trunk"),
    Key("lr/plugins", "of the plugins"),
    Key("grad_norm", "norm of the gradient before clipping"),
    Key("strata/*", "per stratum: count, missing, weight, grad_norm, cosine, conflict, ess, fallbacks, skipped"),
    Key("adversary/*", "loss and accuracy of the discriminator between head and tail users"),
    Key("val/*", "<metric> of the validation, overall or of a <group>", "max"),
    Key("test/*", "<metric> of the test, once the run is evaluated and reported; summary only", "max"),
    Key("gate/*", "the verdict against each baseline, in the words of the screen and the page; summary only"),
    Key("quarantine/*", "damaged row groups, their users (and of stratum <z>), rows that were replaced; only once there is damage"),
    Key("throughput/*_per_s", "targets (or sequences, users), sequences and events a second, over all processes"),
    Key(DIGEST, "of the line and the one before it, so that damage is found; not in W&B"),
    Key("health/*", "waiting, computing, memory, time left; see training/callbacks/health.py"),
)
"""All of them; the first that matches counts."""


def key_of(name: str) -> Key | None:
    """Description of a key."""
    return next((key for key in KEYS if fnmatchcase(name, key.pattern)), None)


def summary_of(name: str) -> str | None:
    """max, min, or None for the last value."""
    key = key_of(name)
    return None if key is None else key.summary
