"""Emphasis: weights on examples by their own loss. It maps losses to losses; nothing else changes.

none    equal weights
focal   more weight on examples that the model gets wrong (Lin et al., ICCV 2017)
cvar    only the worst share of the global micro-batch (CVaR-DRO); of its users where a user is an example
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol, runtime_checkable

from torch import Tensor

from ltrec.core.extension.registry import Registry, Variant
from ltrec.objectives.emphasis.cvar import CVaR, CVaRConfig
from ltrec.objectives.emphasis.focal import Focal, FocalConfig
from ltrec.objectives.emphasis.plain import Plain, PlainConfig

EmphasisConfig = PlainConfig | FocalConfig | CVaRConfig


class Emphasis(Protocol):
    """`coupled` says that an example's new loss depends on the other examples of the micro-batch."""

    coupled: bool

    def __call__(self, loss_N: Tensor) -> Tensor:
        """Reweighted losses [N], which are minimised."""


@runtime_checkable
class Choice(Protocol):
    """An Emphasis that weighs examples, whatever an example is (a target or a user)."""

    def weights(self, loss_N: Tensor, mass_N: Tensor | None = None) -> Tensor:
        """Weights [N], without a gradient.

        Args:
            loss_N: of every example.
            mass_N: how much each example counts already, by the weights of the events; None: one each.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class EmphasisRow(Variant[Emphasis]):
    """A row of `EMPHASES`; `gather` is values of this rank -> values of all ranks.

    Attributes:
        needs_cross_entropy: it reads a loss as -log p of the true item.
    """

    offers: ClassVar[tuple[str, ...]] = ("gather",)
    needs: tuple[str, ...] = ("gather",)
    needs_cross_entropy: bool = False


EMPHASES: Registry[EmphasisRow] = Registry("emphasis.name", EmphasisRow)
EMPHASES.register("none", config=PlainConfig, build=Plain)
EMPHASES.register("focal", config=FocalConfig, build=Focal, needs_cross_entropy=True)
EMPHASES.register("cvar", config=CVaRConfig, build=CVaR)

__all__ = ["EMPHASES", "CVaRConfig", "Choice", "Emphasis", "EmphasisConfig", "EmphasisRow", "FocalConfig", "PlainConfig"]
