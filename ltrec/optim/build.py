"""Optimisers over named groups of parameters, with decay on weight matrices only; `optimizers.py` is the table of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import Any

from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer

from ltrec.optim.config import OptimConfig
from ltrec.optim.groups import GROUPS, TRUNK
from ltrec.optim.lazy import BY_ROW, LazyAdamW
from ltrec.optim.optimizers import OPTIMIZERS as OPTIMIZERS

ParameterGroups = list[dict[str, Any]]
"""Entries of torch's `param_groups`, each with `params`, `weight_decay` and the `name` of its group."""

_LOOP = {f.name for f in fields(OptimConfig)} - {"lr"}
"""Options that are not the optimiser's own."""


def optimizer_for(model: nn.Module, config: OptimConfig, group_of: Callable[[str], str] = lambda name: TRUNK) -> Optimizer:  # noqa: ARG005
    """The configured optimiser over the trainable parameters of a model.

    Args:
        model: what is trained.
        config: of the optimiser.
        group_of: parameter name -> its group, one of `ltrec.optim.groups.GROUPS`.
    """
    own = {f.name: getattr(config, f.name) for f in fields(config) if f.name not in _LOOP}
    row = OPTIMIZERS[config.name]
    return row.make(parameter_groups(model, config.weight_decay, group_of, by_row=row.by_row), **own)


def parameter_groups(
    model: nn.Module, weight_decay: float, group_of: Callable[[str], str], *, by_row: bool = False
) -> ParameterGroups:
    """The trainable parameters by group, and within a group those that are decayed and those that are not.

    Matrices of linear layers are decayed; embedding tables, biases and norms are not (an item that no batch touches must
    not shrink). With `by_row` tables are listed apart.
    """
    tables = {id(p) for m in model.modules() if isinstance(m, nn.Embedding) for p in m.parameters(recurse=False)}
    trainable = [(group_of(name), p) for name, p in model.named_parameters() if p.requires_grad]
    entries = []
    for group in GROUPS:
        mine = [p for its, p in trainable if its == group]
        decayed = [p for p in mine if p.ndim >= 2 and id(p) not in tables]
        kept = [p for p in mine if p.ndim < 2 or id(p) in tables]
        apart = [p for p in kept if by_row and id(p) in tables]
        kept = [p for p in kept if not by_row or id(p) not in tables]
        entries += [{"params": p, "weight_decay": w, "name": group} for p, w in ((decayed, weight_decay), (kept, 0.0)) if p]
        entries += [{"params": apart, "weight_decay": 0.0, "name": group, BY_ROW: True}] if apart else []
    return entries


def adamw(
    model: nn.Module,
    *,
    lr: float,
    weight_decay: float,
    betas: tuple[float, float],
    eps: float,
    group_of: Callable[[str], str] = lambda name: TRUNK,  # noqa: ARG005
) -> Optimizer:
    """AdamW over the trainable parameters of `model`, without a config."""
    return build_adamw(parameter_groups(model, weight_decay, group_of), lr=lr, beta1=betas[0], beta2=betas[1], eps=eps)


def build_adamw(groups: ParameterGroups, *, lr: float, beta1: float, beta2: float, eps: float) -> Optimizer:
    """AdamW over groups."""
    return _scaled_outside(AdamW(groups, lr=lr, betas=(beta1, beta2), eps=eps, fused=True))


def build_lazy_adamw(groups: ParameterGroups, *, lr: float, beta1: float, beta2: float, eps: float) -> Optimizer:
    """LazyAdamW over groups."""
    return _scaled_outside(LazyAdamW(groups, lr=lr, betas=(beta1, beta2), eps=eps, fused=True))


def build_adam(groups: ParameterGroups, *, lr: float, beta1: float, beta2: float, eps: float) -> Optimizer:
    """Adam over groups."""
    return _scaled_outside(Adam(groups, lr=lr, betas=(beta1, beta2), eps=eps, fused=True))


def build_sgd(groups: ParameterGroups, *, lr: float, momentum: float, nesterov: bool) -> Optimizer:
    """SGD over groups."""
    return _scaled_outside(SGD(groups, lr=lr, momentum=momentum, nesterov=nesterov, fused=True))


def _scaled_outside(optimizer: Optimizer) -> Optimizer:
    """Leave the loss scale to the scaler: a fused optimiser offers to divide by it itself, and then nobody could clip the true
    gradient, or measure it."""
    optimizer._step_supports_amp_scaling = False  # type: ignore[attr-defined]
    return optimizer
