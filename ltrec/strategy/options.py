"""StratifiedOptions: the options of every stratified strategy, and how it chooses its mode and its gradient source."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ltrec.aggregation import RULES, Rule
from ltrec.causal.backdoor import Hajek
from ltrec.causal.config import DefaultPriorConfig
from ltrec.causal.prior import prior_of
from ltrec.core.errors import UserError
from ltrec.distributed.alignment.config import AlignmentConfig
from ltrec.strategy.module import StratifiedModule

PROBE_EVERY = {"per_stratum": 25, "weighted": 0}
"""Mode -> steps from one probe to the next, where the user says nothing. A Gram matrix costs 2 K^2 operations per parameter, nearly
half a step with K = 10 and a large catalogue; in `weighted` it also costs the passes that compute the gradients."""


@dataclass(frozen=True, slots=True)
class StratifiedOptions:
    """Options of a stratified strategy.

    Attributes:
        rule: strata -> weights.
        rule_name: its name in the table, for people.
        prior_K: P(z), the weight of each plugin's own gradient.
        mode: per_stratum, weighted, replay, aligned; auto takes the strategy's own choice, never aligned.
        alignment: tasks and inner steps of mode aligned.
        source: split, retained, segments; auto takes retained where rows are coupled, else segments where the model allows it.
        nonfinite: what follows when a gradient is not finite: stop every rank, or skip the step on every rank.
        probe_every: compute a Gram matrix that no rule reads every n steps, for telemetry; 0 = never, None = as in `PROBE_EVERY`.
        seed: root of the rules' randomness.
    """

    rule: Rule
    prior_K: Tensor
    rule_name: str = "backdoor"
    mode: str = "auto"
    source: str = "auto"
    nonfinite: str = "stop"
    probe_every: int | None = None
    seed: int = 0
    alignment: AlignmentConfig = field(default_factory=AlignmentConfig)

    def probe_interval(self, mode: str) -> int:
        """Steps from one probe to the next in a mode; 0 = never."""
        return PROBE_EVERY[mode] if self.probe_every is None else self.probe_every


def choose_mode(wanted: str, kind: str, supported: tuple[str, ...], strategy: str) -> str:
    """The mode of a run.

    Args:
        wanted: the option; auto = the first supported mode that fits the rule.
        kind: linear, gram or coordinate.
        supported: the strategy's modes, the preferred one first.
        strategy: its name, for messages.

    Raises:
        UserError: the combination cannot work; the message says why.
    """
    able = [mode for mode in supported if _obstacle(mode, kind) is None]
    if wanted == "auto":
        if not able:
            raise UserError(f"strategy {strategy} cannot run {_KINDS[kind]}: {_obstacle(supported[0], kind)}")
        return able[0]
    if wanted not in supported:
        way_out = _NEEDS.get(wanted, f"possible: {', '.join(supported)}")
        raise UserError(f"mode {wanted} is not possible with strategy {strategy}; {way_out}")
    if (obstacle := _obstacle(wanted, kind)) is not None:
        raise UserError(f"mode {wanted} cannot run {_KINDS[kind]}: {obstacle}")
    return wanted


def choose_source(
    wanted: str, *, coupled: bool, mode: str = "per_stratum", obstacle: str | None = "unknown", pays: bool = True
) -> str:
    """The gradient source of a run.

    Args:
        wanted: the option; auto = retained where rows are coupled, segments where nothing is in their way and they pay, else split.
        coupled: whether a row's loss depends on other rows of its micro-batch.
        mode: the run's.
        obstacle: why gradients cannot be computed by segments; None = they can.
        pays: whether they are then cheaper than strata one by one.

    Raises:
        UserError: strata or tasks would be run alone that cannot be.
    """
    if coupled and mode == "aligned":
        raise UserError(
            "mode aligned runs tasks alone, but this model or loss couples the rows of a batch; use another objective, "
            "or another mode"
        )
    if obstacle is None and mode != "per_stratum":
        obstacle = f"mode {mode} has no use for it"
    if wanted == "segments" and (coupled or obstacle is not None):
        why = "this model or loss couples the rows of a batch" if coupled else obstacle
        raise UserError(f"source segments is not possible: {why}; use auto")
    if wanted == "auto":
        return "retained" if coupled else "segments" if obstacle is None and pays else "split"
    if coupled and wanted == "split":
        raise UserError("source split runs strata alone, but this model or loss couples the rows of a batch; use retained or auto")
    return wanted


def why_split(wanted: str, source: str, mode: str, obstacle: str | None) -> str | None:
    """Why the strata are run alone although `wanted` is auto; arguments as of `choose_source`."""
    return (obstacle or "cheaper here") if (wanted, source, mode) == ("auto", "split", "per_stratum") else None


def refuse_replay(plugins: Sequence[object], micro_batches: int) -> None:
    """Refuse what the Gram matrix before the one weighted pass does not allow.

    Raises:
        UserError: the stage has plugins, or the step has several micro-batches.
    """
    if plugins:
        raise UserError(
            "mode replay cannot train plugins under a Gram rule: one weighted pass gives a plugin w_z G_z, and w_z "
            "may be 0; use per_stratum"
        )
    if micro_batches > 1:
        raise UserError(
            f"mode replay cannot accumulate {micro_batches} micro-batches: the step's Gram "
            "matrix is known only after the last one; use per_stratum, or one micro-batch a step"
        )


def refuse_scaler(scaler: object | None) -> None:
    """Refuse inner steps under a loss scaler.

    Raises:
        UserError: there is one.
    """
    if scaler is not None:
        raise UserError(
            "mode aligned is not possible in precision 16-mixed: inner steps would need a loss scale of their own; use bf16-mixed"
        )


def describe(options: StratifiedOptions, strategy: str, mode: str, source: str | None, why: str | None = None) -> str:
    """One line for people: what was chosen.

    Args:
        options: options, as configured.
        strategy: its name.
        mode: of the run.
        source: of the strata's gradients, if any are formed.
        why: strata are run alone although the option says auto.
    """
    source = f"{source} ({why})" if source and why else source
    prior = ", ".join(f"{share:.3g}" for share in options.prior_K.tolist())
    rule = f"rule {options.rule_name}, P(z) = {prior}"
    if mode != "aligned":
        return f"gradients by stratum: {strategy}, mode {mode}{f', source {source}' if source else ''}, {rule}"
    alignment = options.alignment
    chains = "one user a task" if alignment.tasks == "user" else "one chain"
    chains = f"{alignment.trajectories} chains" if alignment.trajectories else chains
    tasks = f"{alignment.inner_steps} users" if alignment.tasks == "user" else "strata"
    later = f"; by stratum once plugins wake: source {source}, {rule}" if source else ""
    return f"gradients aligned over {tasks}: {strategy}, inner rate {alignment.inner_lr:g}, {chains}{later}"


def default_options(module: StratifiedModule, strategy: str) -> StratifiedOptions:
    """Backdoor adjustment with the default prior, the same as of the command line, renormalised over the strata that are there.

    Args:
        module: says in `users_K` how many users each stratum has.
        strategy: its name, for the message.

    Raises:
        UserError: the module does not say it.
    """
    users_K = getattr(module, "users_K", None)
    name = type(module).__name__
    if users_K is None:
        raise UserError(
            f"strategy {strategy} needs P(z), the weight of each stratum, which is its share of the users unless you "
            f"say otherwise; "
            f"set {name}.users_K to the number of users in each stratum, or give the strategy options=StratifiedOptions(...)"
        )
    users_K = torch.as_tensor(users_K, dtype=torch.float64).cpu()
    if users_K.shape != (module.num_strata,) or not (users_K >= 0).all() or not users_K.any():
        raise UserError(
            f"{name}.users_K must be the number of users in each of {module.num_strata} strata; it is {users_K.tolist()}"
        )
    prior_K = prior_of(DefaultPriorConfig().name, users_K, users_K)
    return StratifiedOptions(RULES["backdoor"].make(prior_K=prior_K, empty=Hajek(prior_K, (prior_K > 0).double())), prior_K)


_NEEDS = {"aligned": "inner steps need every parameter whole on every process; use one device, or DDP"}
"""Mode -> why some strategies lack it, where that is not plain from its name."""

_KINDS = {"linear": "a linear rule", "gram": "a rule on the Gram matrix", "coordinate": "a coordinate-wise rule"}


def _obstacle(mode: str, kind: str) -> str | None:
    """Why a mode cannot run a kind of rule; None when it can."""
    if kind == "coordinate" and mode != "per_stratum":
        return "it looks at every coordinate of the strata's gradients, which only mode per_stratum ever has"
    if kind == "gram" and mode == "weighted":
        return "one weighted pass computes no Gram matrix; use replay or per_stratum"
    if kind == "linear" and mode == "replay":
        return "its weights need no Gram matrix; use weighted, the same update in one pass"
    return None
