"""Config -> the Lightning strategy of a run: Lightning's own for joint training, else one of `ltrec.strategy`."""

from __future__ import annotations

from datetime import timedelta
from inspect import signature
from typing import Any

from pytorch_lightning.strategies import Strategy
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from ltrec.aggregation import RULES
from ltrec.causal.backdoor import Hajek
from ltrec.causal.config import ExplicitPriorConfig, PriorConfig
from ltrec.causal.horvitz_thompson import HorvitzThompson
from ltrec.causal.prior import PRIORS
from ltrec.config.tree import RunConfig
from ltrec.core.errors import UserError
from ltrec.core.hashing import mix
from ltrec.data.stream.order.expected import examples_K, expected_presence_K, expected_targets_K
from ltrec.data.stream.order.plan import Plan
from ltrec.distributed.alignment.config import AlignmentConfig
from ltrec.distributed.gradients_config import AlignedConfig, JointConfig
from ltrec.distributed.strategies import STRATEGIES
from ltrec.run.build.components import Data
from ltrec.run.build.options import options_of
from ltrec.run.build.strata import prior_from
from ltrec.run.process.processes import device_of
from ltrec.run.process.rendezvous_env import Processes
from ltrec.strategy import StratifiedOptions, make_strategy


def build_stratified_options(config: RunConfig, data: Data, plan: Plan) -> StratifiedOptions | None:
    """The options of a stratified strategy; None for joint training.

    Raises:
        UserError: the prior does not fit the data set's strata.
    """
    gradients, combination = config.gradients, config.combination
    if isinstance(gradients, JointConfig) or combination is None:
        return None
    prior_K = build_prior(combination.prior, data, plan)
    estimator: HorvitzThompson | Hajek
    if combination.estimator == "horvitz_thompson":
        estimator = HorvitzThompson(prior_K, expected_targets_K(data.folder, data.manifest, plan))
    else:
        estimator = Hajek(prior_K, expected_presence_K(data.manifest, plan), combination.empty)
    rule = combination.rule
    return StratifiedOptions(
        rule=RULES[rule.name].make(prior_K=prior_K, empty=estimator, **options_of(rule)),
        prior_K=prior_K,
        rule_name=rule.name,
        mode="aligned" if isinstance(gradients, AlignedConfig) else gradients.mode,
        source=combination.source,
        nonfinite=gradients.nonfinite,
        probe_every=combination.probe_every_steps,
        seed=mix(config.seed, 1),
        alignment=gradients if isinstance(gradients, AlignedConfig) else AlignmentConfig(),
    )


def build_prior(prior: PriorConfig, data: Data, plan: Plan) -> Tensor:
    """P(z), float64 [K].

    Raises:
        UserError: it does not fit the data set's strata.
    """
    counts = examples_K(data.folder, data.manifest, plan) if PRIORS[prior.name].counts_examples else None
    prior_K = prior_from(prior, plan.trained, counts)
    if isinstance(prior, ExplicitPriorConfig):
        _refuse_shares_of_unseen_strata(prior_K, expected_presence_K(data.manifest, plan), plan.strata.names())
    return prior_K


def _refuse_shares_of_unseen_strata(prior_K: Tensor, presence_K: Tensor, names: tuple[str, ...]) -> None:
    """Refuse explicit shares of strata that training never sees. (A counted prior gives them weight 0, and `empty` says where their
    share goes.)"""
    for z in ((prior_K > 0) & (presence_K <= 0)).nonzero()[:, 0].tolist():
        raise UserError(
            f"gradients.prior.shares gives stratum {z} ({names[z]} training events) the share {float(prior_K[z]):g}, but "
            "training sees none of its users; give it 0 and its share to others"
        )


# Torch 2.13 renamed it; the old name warns.
_SYNC_BUFFERS = next(n for n in ("forward_sync_buffers", "broadcast_buffers") if n in signature(DistributedDataParallel).parameters)


def build_strategy(config: RunConfig, processes: Processes, accelerator: str, options: StratifiedOptions | None) -> str | Strategy:
    """The strategy of a run. Control values (cursors, counts, results) always use gloo."""
    name, size = config.registered_strategy, processes.world.size
    backend = "cpu:gloo,cuda:nccl" if accelerator == "gpu" else "gloo"
    group: dict[str, Any] = {"process_group_backend": backend, "timeout": timedelta(seconds=config.trainer.timeout_seconds)}
    replicated = {**group, "gradient_as_bucket_view": True, _SYNC_BUFFERS: False}
    name = name if size == 1 else STRATEGIES[name].several_processes or name
    if not STRATEGIES[name].is_stratified:
        return "auto" if size == 1 else make_strategy(name, **replicated)
    if STRATEGIES[name].one_process:
        return make_strategy(name, device=device_of(processes, accelerator), options=options)
    return make_strategy(name, **(replicated if STRATEGIES[name].whole_gradients else group), options=options)
