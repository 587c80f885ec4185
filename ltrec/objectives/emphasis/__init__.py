"""Emphasis: which examples count for more, judged by their own loss. It maps losses to losses, so everything above stays as it is.

none    every example alike
focal   examples that the model gets wrong (Lin et al., ICCV 2017)
cvar    the worst share of the global micro-batch alone (CVaR-DRO); of its users where a user is an example
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, runtime_checkable

from torch import Tensor

from ltrec.objectives.emphasis.cvar import CVaR, CVaRConfig
from ltrec.objectives.emphasis.focal import Focal, FocalConfig
from ltrec.objectives.emphasis.plain import Plain, PlainConfig

EmphasisConfig = PlainConfig | FocalConfig | CVaRConfig


class Emphasis(Protocol):
    """`coupled` says that an example's new loss depends on the other examples of the micro-batch."""

    coupled: bool

    def __call__(self, loss_N: Tensor) -> Tensor:
        """New losses [N], whose gradient is what will be followed."""


@runtime_checkable
class Choice(Protocol):
    """An Emphasis that chooses among examples by weights; what an example is, others say."""

    def weights(self, loss_N: Tensor) -> Tensor:
        """Weights [N], without a gradient."""


EMPHASES: dict[str, Callable[..., Emphasis]] = {"none": Plain, "focal": Focal, "cvar": CVaR}
"""name -> class, called with gather (values of this rank -> of all ranks) and the fields of its config but `name`."""

EMPHASIS_CONFIGS: dict[str, type[EmphasisConfig]] = {"none": PlainConfig, "focal": FocalConfig, "cvar": CVaRConfig}
"""name -> config dataclass."""

__all__ = ["EMPHASES", "EMPHASIS_CONFIGS", "CVaRConfig", "Choice", "Emphasis", "EmphasisConfig", "FocalConfig", "PlainConfig"]
