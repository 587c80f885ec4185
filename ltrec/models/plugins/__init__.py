"""Plugins: what is added to a trained trunk in the second stage. One file per kind, one row each.

    none         the trunk alone
    bottleneck   PIN: a residual bottleneck per stratum at each of the backbone's places
    copies       fine-tuning by group: a whole copy of the trunk per stratum
    melt         MELT's user branch: one linear map from the states of short histories to those of long ones

A kind wraps a trunk and is a backbone itself (`WithPlugins`): inactive, the identity, until `wake` is called at the switch of
stages.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from ltrec.core.extension.deferred import names_of
from ltrec.core.extension.registry import Registry, Variant
from ltrec.models.plugins.config import BottleneckConfig, CopiesConfig, MeltConfig, NoPluginConfig

if TYPE_CHECKING:
    from torch import nn  # noqa: F401  in a string below

    from ltrec.models.plugins.bottleneck import plug
    from ltrec.models.plugins.copies import Copies
    from ltrec.models.plugins.melt import Melt
    from ltrec.models.plugins.protocol import RoutedByRow, WithPlugins

PluginConfig = NoPluginConfig | BottleneckConfig | CopiesConfig | MeltConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class Plugin(Variant["nn.Module"]):
    """A row of `PLUGINS`; `build` takes the trunk and returns it with plugins.

    Attributes:
        by_stratum: it has a network per stratum that only users of that stratum train.
        needs_states: it works on the states of an `Encoder`.
        whole_models: every stratum has a model of its own, so that rows of a batch have no parameter in common.
        writes_weights: waking changes parameters in place.
        skips_strata: a process runs only the parts whose strata its rows have.
    """

    offers: ClassVar[tuple[str, ...]] = ("strata", "num_strata", "seed", "max_len")
    by_stratum: bool = False
    needs_states: bool = False
    whole_models: bool = False
    writes_weights: bool = False
    skips_strata: bool = True


PLUGINS: Registry[Plugin] = Registry("plugin.name", Plugin)
PLUGINS.register("none", config=NoPluginConfig, build=lambda trunk: trunk, skips_strata=False)
PLUGINS.register(
    "bottleneck", config=BottleneckConfig, build="ltrec.models.plugins.bottleneck:plug", needs=("num_strata",), by_stratum=True
)
PLUGINS.register(
    "copies",
    config=CopiesConfig,
    build="ltrec.models.plugins.copies:Copies",
    needs=("num_strata",),
    by_stratum=True,
    whole_models=True,
    writes_weights=True,
)
PLUGINS.register(
    "melt", config=MeltConfig, build="ltrec.models.plugins.melt:Melt", needs=("strata", "seed", "max_len"), needs_states=True
)

if not TYPE_CHECKING:
    __getattr__ = names_of(
        __name__,
        {
            "Copies": "ltrec.models.plugins.copies",
            "Melt": "ltrec.models.plugins.melt",
            "RoutedByRow": "ltrec.models.plugins.protocol",
            "WithPlugins": "ltrec.models.plugins.protocol",
            "plug": "ltrec.models.plugins.bottleneck",
        },
    )

__all__ = [
    "PLUGINS",
    "BottleneckConfig",
    "Copies",
    "CopiesConfig",
    "Melt",
    "MeltConfig",
    "NoPluginConfig",
    "Plugin",
    "PluginConfig",
    "RoutedByRow",
    "WithPlugins",
    "plug",
]
