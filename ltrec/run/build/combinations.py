"""Combinations of settings that cannot work, or in which one has no effect: a table, checked before anything is built.

Conflicts within a section are refused by its own dataclass (`__post_init__`), those with the data where the data are read
(`Plan.of`, `Strata.merged`, the rules), and modes that a strategy lacks in `ltrec.strategy`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ltrec.config.tree import RunConfig
from ltrec.core.errors import UserError
from ltrec.distributed.gradients_config import CombinationConfig
from ltrec.distributed.strategies import STRATEGIES, StrategyInfo
from ltrec.models.backbones import BACKBONES
from ltrec.models.plugins import PLUGINS, Plugin
from ltrec.objectives import OBJECTIVES, Loss
from ltrec.objectives.emphasis import EMPHASES
from ltrec.optim.optimizers import OPTIMIZERS


@dataclass(frozen=True, slots=True)
class Refusal:
    """A combination that is refused, with one line that says why and what to do instead.

    Attributes:
        when: whether it applies to a run.
        why: format string; `{c}` is the run's config, `{plugin}` how its trained plugin was chosen, `{key}` by which setting.
    """

    when: Callable[[RunConfig], bool]
    why: str


REFUSED: tuple[Refusal, ...] = (
    Refusal(
        lambda c: not _has_states(c) and _objective(c).needs_states,
        "objective.name={c.objective.name} needs a state per position and model.name={c.model.name} has none; use {stateless}",
    ),
    Refusal(
        lambda c: not _has_states(c) and c.adversary.weight > 0,
        "adversary.weight={c.adversary.weight:g} needs a backbone with states, and model.name={c.model.name} has none; use "
        "adversary.weight=0 or another model.name",
    ),
    Refusal(
        lambda c: EMPHASES[c.emphasis.name].needs_cross_entropy and not _objective(c).cross_entropy,
        "emphasis.name={c.emphasis.name} weighs by the probability of the true item, and objective.name={c.objective.name} is not "
        "a cross-entropy over items; use {cross_entropies}",
    ),
    Refusal(
        lambda c: bool(c.inputs) and "inputs" not in BACKBONES[c.model.name].needs,
        "inputs.* name columns, and model.name={c.model.name} uses ids only; take them out, or use {with_inputs}",
    ),
    Refusal(
        lambda c: c.switch is not None and c.combination is None,
        "{plugin} needs gradients by stratum: use gradients.name=stratified (for joint training of the trunk "
        "with gradients.prior.name=class_balanced gradients.prior.beta=0 gradients.estimator=horvitz_thompson)",
    ),
    Refusal(
        lambda c: not _has_states(c) and _plugin(c).needs_states,
        "{plugin} maps states, and model.name={c.model.name} has none; use another model.name, or {key}=bottleneck",
    ),
    Refusal(
        lambda c: _plugin(c).whole_models and _objective(c).couples_rows,
        "objective.name={c.objective.name} shares negatives between the rows of a batch, and with {plugin} they belong to several "
        "models; use softmax or sampled_softmax",
    ),
    Refusal(
        lambda c: _plugin(c).whole_models and c.adversary.weight > 0,
        "adversary.weight={c.adversary.weight:g} makes one model's states alike, and {plugin} has one per stratum; "
        "use adversary.weight=0 or {key}=bottleneck",
    ),
    Refusal(
        lambda c: _plugin(c).writes_weights and _strategy(c).optimizer_copies,
        "{plugin} writes weights in mid-run, and strategy.name={c.strategy.name} trains others, kept beside the "
        "model's; use strategy.name=auto or fsdp2",
    ),
    Refusal(
        lambda c: OPTIMIZERS[c.optim.name].by_row and _strategy(c).optimizer_copies,
        "optim.name={c.optim.name} steps tables row by row, and strategy.name={c.strategy.name} cuts them without regard to rows; "
        "use strategy.name=auto or fsdp2, or optim.name=adamw",
    ),
    Refusal(
        lambda c: _plugin(c).skips_strata and _strategy(c).gathers_by_module,
        "{plugin} runs fewer parts of the model on a process whose rows lack a stratum, and ZeRO-3 gathers "
        "parameters part by part, on all processes in step; use strategy.name=deepspeed_stage_2 or fsdp2",
    ),
    Refusal(
        lambda c: c.memory is not None and c.memory.per_stratum and c.strata == 1,
        "plugin.per_stratum=true has no effect with strata=1: there is one stratum; take one of them out",
    ),
    Refusal(
        lambda c: c.gradients.name == "joint" and c.strategy.name not in ("auto", "ddp"),
        "gradients.name=joint is Lightning's own training on one device or DDP; strategy.name={c.strategy.name} needs "
        "gradients.name=stratified (as good as joint: gradients.mode=weighted gradients.prior.name=class_balanced "
        "gradients.prior.beta=0 gradients.estimator=horvitz_thompson)",
    ),
    Refusal(
        lambda c: c.switch is None and c.gradients.name == "aligned" and c.combination != CombinationConfig(),
        "gradients.after_switch.* has no effect with {plugin}: there is no switch, and no gradient is computed by stratum; take it "
        "out, or use {key}=bottleneck",
    ),
    Refusal(
        lambda c: c.gradients.name == "aligned" and c.trainer.precision == "16-mixed",
        "trainer.precision=16-mixed is not possible with gradients.name=aligned: inner steps would need a loss scale of their own; "
        "use bf16-mixed",
    ),
    Refusal(
        lambda c: c.trainer.precision == "16-mixed" and not _strategy(c).whole_gradients,
        "trainer.precision=16-mixed is not possible with strategy.name={c.strategy.name}: gradients are sharded; use bf16-mixed",
    ),
)


def refuse_combinations(config: RunConfig) -> None:
    """Refuse settings that cannot work together.

    Raises:
        UserError: the first reason of the table that applies.
    """
    for refusal in REFUSED:
        if refusal.when(config):
            key = f"{config.trained_plugin_section}.name"
            names = {"stateless": OBJECTIVES.where("needs_states", False), "cross_entropies": OBJECTIVES.where("cross_entropy")}
            names["with_inputs"] = tuple(name for name in BACKBONES if "inputs" in BACKBONES[name].needs)
            words = {word: f"{', '.join(some[:-1])} or {some[-1]}" for word, some in names.items()}
            raise UserError(refusal.why.format(c=config, key=key, plugin=f"{key}={config.trained_plugin.name}", **words))


def _strategy(config: RunConfig) -> StrategyInfo:
    return STRATEGIES[config.registered_strategy]


def _has_states(config: RunConfig) -> bool:
    return BACKBONES[config.model.name].has_states


def _objective(config: RunConfig) -> Loss:
    return OBJECTIVES[config.objective.name]


def _plugin(config: RunConfig) -> Plugin:
    return PLUGINS[config.trained_plugin.name]
