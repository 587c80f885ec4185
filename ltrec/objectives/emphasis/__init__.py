"""Emphasis: weights on examples by their own loss. It maps losses to losses; nothing else changes.

none    equal weights
focal   more weight on examples that the model gets wrong (Lin et al., ICCV 2017)
cvar    only the worst share of the global micro-batch (CVaR-DRO); of its users where a user is an example
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from ltrec.core.extension.deferred import names_of
from ltrec.core.extension.registry import Registry, Variant
from ltrec.objectives.emphasis.config import CVaRConfig, FocalConfig, PlainConfig

if TYPE_CHECKING:
    from ltrec.objectives.emphasis.protocol import Choice, Emphasis

EmphasisConfig = PlainConfig | FocalConfig | CVaRConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class EmphasisRow(Variant["Emphasis"]):
    """A row of `EMPHASES`; `gather` is values of this rank -> values of all ranks.

    Attributes:
        needs_cross_entropy: it reads a loss as -log p of the true item.
    """

    offers: ClassVar[tuple[str, ...]] = ("gather",)
    needs: tuple[str, ...] = ("gather",)
    needs_cross_entropy: bool = False


EMPHASES: Registry[EmphasisRow] = Registry("emphasis.name", EmphasisRow)
EMPHASES.register("none", config=PlainConfig, build="ltrec.objectives.emphasis.plain:Plain")
EMPHASES.register("focal", config=FocalConfig, build="ltrec.objectives.emphasis.focal:Focal", needs_cross_entropy=True)
EMPHASES.register("cvar", config=CVaRConfig, build="ltrec.objectives.emphasis.cvar:CVaR")

if not TYPE_CHECKING:
    __getattr__ = names_of(__name__, dict.fromkeys(["Choice", "Emphasis"], "ltrec.objectives.emphasis.protocol"))

__all__ = ["EMPHASES", "CVaRConfig", "Choice", "Emphasis", "EmphasisConfig", "EmphasisRow", "FocalConfig", "PlainConfig"]
