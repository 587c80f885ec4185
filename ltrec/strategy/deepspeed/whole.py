"""A module under ZeRO-3, whole for a while: every parameter gathered on every rank, and DeepSpeed's hooks probe away.

ZeRO-3 gathers a submodule's parameters in a hook before its forward pass and lets them go in another one after it, and each gather
is a collective. So ranks must run the same submodules in the same order, which is not so when strata are run one by one (a rank may
lack a stratum) or when validation chunks run out on some ranks first. Here the collectives are two: everything is gathered at the
start and let go at the end, and whatever happens in between is a rank's own business. The price is one whole copy of the model.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

from ltrec.strategy.deepspeed.imports import deepspeed


@contextmanager
def whole(module: nn.Module) -> Iterator[None]:
    """Gather the parameters of `module` for the block; nothing happens where they are whole anyway. Every rank must take part.

    Parameters must not be changed within the block.
    """
    parameters = list(module.parameters())
    if not any(hasattr(p, "ds_id") for p in parameters):
        yield
        return
    with deepspeed.zero.GatheredParameters(parameters), _without_hooks(module):
        yield


@contextmanager
def _without_hooks(module: nn.Module) -> Iterator[None]:
    """Take the forward hooks of all submodules off, and put the very same ones back."""
    kept = [(m, m._forward_pre_hooks, m._forward_hooks) for m in module.modules()]
    for m, _, _ in kept:
        m._forward_pre_hooks, m._forward_hooks = OrderedDict(), OrderedDict()
    try:
        yield
    finally:
        for m, before, after in kept:
            m._forward_pre_hooks, m._forward_hooks = before, after
