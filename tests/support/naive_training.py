"""A run of `lightning_toy` without Lightning, ranks or engine: every step by definition, and a plain optimiser."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ltrec.core.hashing import mix
from ltrec.core.sumcount import SumCount
from tests.support.lightning_toy import OPTIMIZERS, Case, LightningToy
from tests.support.naive_strata import NaiveStep, naive_step
from tests.support.rules import build
from tests.support.toy_stage import toy_owner


@dataclass(frozen=True)
class NaiveRun:
    """Weights by name, and what each step decided: None where nothing may have moved."""

    weights: dict[str, Tensor]
    steps: list[NaiveStep | None]


def naive_train(case: Case) -> NaiveRun:
    """The weights after all windows of the case; a spoilt one is skipped."""
    module = LightningToy(case)
    rule = build(case.rule, case.prior_K, **case.rule_options)
    parameters = [p for p in module.parameters() if p.requires_grad]
    optimizer = OPTIMIZERS[case.optimizer](parameters)
    steps: list[NaiveStep | None] = []
    for step in range(case.steps):
        batches = case.window(step).all_batches()
        skipped = case.spoil is not None and case.spoil[0] == step
        if skipped or not sum(int((batch.targets_T > 0).sum()) for batch in batches):
            steps.append(None)
            continue
        found = _step(module, batches, rule, case, step)
        steps.append(found)
        for name, parameter in module.toy.named_parameters():
            parameter.grad = found.gradients[name].clone() if name in found.gradients else None
        if case.clip is not None:
            clip = {"norm": torch.nn.utils.clip_grad_norm_, "value": torch.nn.utils.clip_grad_value_}[case.clip_by]
            clip(parameters, case.clip)
        optimizer.step()
    return NaiveRun({name: p.detach().clone() for name, p in module.toy.named_parameters()}, steps)


def _step(module: LightningToy, batches: list[Any], rule: Any, case: Case, step: int) -> NaiveStep:
    def weights(gram_KK: Tensor, counts_K: Tensor) -> Tensor:
        if rule.kind == "gram":
            return rule.weights(gram_KK, counts_K, mix(0, step))
        return rule.weights(counts_K) if rule.kind == "linear" else torch.zeros(case.strata, dtype=torch.float64)

    found = naive_step(module.toy, batches, weights, toy_owner, case.prior_K)
    if rule.kind == "linear" and rule.watches_losses:
        rule.observe(SumCount(found.sums_K, found.sizes_K))
    if rule.kind == "coordinate":
        _combine(module, batches, rule, case, found)
    return found


def _combine(module: LightningToy, batches: list[Any], rule: Any, case: Case, found: NaiveStep) -> None:
    """Put the coordinate-wise update in the place of the weighted sum, parameter by parameter."""
    one_hot_KK = torch.eye(case.strata, dtype=torch.float64)
    rows = [naive_step(module.toy, batches, lambda *_, w=w: w, toy_owner, case.prior_K).gradients for w in one_hot_KK]
    for name in found.gradients:
        if toy_owner(name) is None:
            stacked_KN = torch.stack([row[name].flatten() for row in rows])
            found.gradients[name] = rule.combine(stacked_KN, found.sizes_K).view_as(found.gradients[name])
