"""Plugins in one weighted pass: their gradients are rescaled, and plugins of absent strata take part with zeros.

A plugin's gradient is P(z) G_z of its own stratum in every mode. In `per_stratum` the store sees to that. The weighted loss gives
w_z G_z instead, so the gradient is corrected as it appears, before anything reduces or partitions it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from torch import Tensor, nn

from ltrec.strategy.module import StratifiedModule

Plugins = Sequence[tuple[int, nn.Parameter]]
"""Trainable parameters that belong to one stratum, with it."""


def plugins_of(stage: StratifiedModule, module: nn.Module) -> Plugins:
    """The plugin parameters of a module."""
    owned = [(stage.plugin_of(name), parameter) for name, parameter in module.named_parameters()]
    return [(stratum, parameter) for stratum, parameter in owned if stratum is not None and parameter.requires_grad]


def owners(plugins: Plugins, parameters: Sequence[nn.Parameter]) -> list[int | None]:
    """The stratum that each parameter belongs to; None for the trunk."""
    strata = {id(parameter): stratum for stratum, parameter in plugins}
    return [strata.get(id(parameter)) for parameter in parameters]


def correct(plugins: Plugins, factors_K: Callable[[], list[float]]) -> None:
    """Multiply each plugin's gradient by its stratum's factor of the moment, as it appears."""

    def corrected(stratum: int, gradient: Tensor) -> Tensor:
        return gradient * factors_K()[stratum]

    for stratum, parameter in plugins:
        parameter.register_hook(partial(corrected, stratum))  # type: ignore[no-untyped-call]


def with_all(plugins: Plugins, loss: Tensor) -> Tensor:
    """Let plugins of absent strata take part with nothing: their gradient is 0 on every rank, as it is in per_stratum."""
    return sum((parameter.flatten()[:0].sum() for _, parameter in plugins), loss)
