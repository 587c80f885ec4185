"""Settings as they were spelled before variants nested. Results are kept for years: their keys are digests of settings in the
spelling of those days, and their commands are its words."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from ltrec.config.identity import LATER, flat
from ltrec.config.keys.former import KEYS, today
from ltrec.config.tree import RunConfig

STRATEGY: dict[str, Any] = {
    "strategy.name": "joint",
    "strategy.mode": "auto",
    "strategy.source": "auto",
    "strategy.nonfinite": "stop",
    "strategy.probe_every_steps": None,
}
CAUSAL: dict[str, Any] = {
    "causal.prior": "user",
    "causal.temperature": 1.0,
    "causal.beta": 0.9999,
    "causal.shares": (),
    "causal.empty": "renormalize",
    "causal.estimator": "hajek",
    "rule.name": "backdoor",
}
ALIGNMENT: dict[str, Any] = {
    "alignment.tasks": "user",
    "alignment.inner_steps": 2,
    "alignment.inner_lr": 0.1,
    "alignment.trajectories": 0,
}
SWITCH: dict[str, Any] = {"switch.by": "epoch", "switch.at": 10, "switch.trunk_rate": 0.1, "switch.plugin_rate": 1.0}


def former(config: RunConfig) -> dict[str, Any]:
    """A config's values by the dotted keys of those days, with their defaults where nothing says otherwise."""
    found = {**STRATEGY, **CAUSAL, **ALIGNMENT, **SWITCH, "causal.strata": config.strata}
    for key, value in flat(asdict(config)).items():
        if key not in ("strata", "gradients.name", "strategy.name") and (key, value) not in LATER.items():
            found[_old(key)] = value
    return found | _strategy(config)


def _strategy(config: RunConfig) -> dict[str, Any]:
    """What gradients and parallelism were called together."""
    name, parallelism = config.gradients.name, config.strategy.name
    if name == "joint":
        return {"strategy.name": "joint"}
    mode = {"strategy.mode": "aligned"} if name == "aligned" else {}
    return {"strategy.name": "stratified" if parallelism == "auto" else f"stratified_{parallelism}", **mode}


def _old(key: str) -> str:
    """A key of today as it was spelled."""
    key = key.replace("gradients.after_switch.", "gradients.").replace("plugin.trained.switch.", "plugin.switch.")
    if key == "gradients.prior.name":
        return "causal.prior"
    if key.startswith("gradients.") and f"alignment.{key.removeprefix('gradients.')}" in ALIGNMENT:
        return f"alignment.{key.removeprefix('gradients.')}"
    exact = [old for old, new in KEYS.items() if key == new]
    inside = [f"{old}{key.removeprefix(KEYS[old])}" for old in ("rule", "switch") if key.startswith(f"{KEYS[old]}.")]
    return next(iter([*exact, *inside]), key)


def words_of_today(words: tuple[str, ...]) -> tuple[str, ...]:
    """Words of a command of those days, in today's spelling."""
    found: list[str] = []
    for word in words:
        key, _, value = word.partition("=")
        found += (today(key, value) or word).split()
    return tuple(found)
