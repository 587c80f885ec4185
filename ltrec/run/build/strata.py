"""The strata of a run, its P(z), and which stratum's plugins serve which users: the same in training, evaluation and prediction."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from ltrec.causal.config import PriorConfig, UserPriorConfig
from ltrec.causal.prior import prior_of
from ltrec.config.tree import RunConfig
from ltrec.core.strata import MergedStrata, Strata
from ltrec.data.manifest import Manifest
from ltrec.data.stream.order.trained import TrainedUsers, drawn_strata
from ltrec.models.plugins import PLUGINS
from ltrec.run.build.options import options_of


def merged_strata(config: RunConfig, manifest: Manifest) -> MergedStrata:
    """The strata of training, those of the data set or fewer, with the map between them.

    Raises:
        UserError: more are requested than there are.
    """
    return manifest.strata.merged(config.strata or manifest.strata.count)


def strata_of(config: RunConfig, manifest: Manifest) -> Strata:
    """The strata of training.

    Raises:
        UserError: more are requested than there are.
    """
    return merged_strata(config, manifest).strata


def trained_strata(config: RunConfig, manifest: Manifest) -> tuple[int, ...]:
    """The strata of `strata_of` that are trained, ascending: steps contain their users, and P(z) > 0.

    Raises:
        UserError: the settings do not fit the data set.
    """
    merged = merged_strata(config, manifest)
    trained = TrainedUsers.of(manifest, config.stream.users).merged(merged)
    prior = UserPriorConfig() if config.combination is None else config.combination.prior
    share_K = prior_from(prior, trained, trained.users_K)  # examples change how large a share is, not whether it is zero
    drawn = {merged.stratum_map[z] for z in drawn_strata(manifest, config.stream).tolist()}
    return tuple(z for z in sorted(drawn) if share_K[z] > 0)


def heirs_of(config: RunConfig, manifest: Manifest) -> tuple[int, ...]:
    """For each stratum of `strata_of` the one that trains its plugins.

    Raises:
        UserError: the settings do not fit the data set.
    """
    strata = strata_of(config, manifest)
    trained = trained_strata(config, manifest) if PLUGINS[config.trained_plugin.name].by_stratum else ()
    return strata.heirs(trained or range(strata.count))


def prior_from(prior: PriorConfig, trained: TrainedUsers, examples_K: Sequence[float] | Tensor | None) -> Tensor:
    """P(z), float64 [K], over the users of training.

    Args:
        prior: its config.
        trained: the users of training.
        examples_K: their examples (`expected.examples_K`), for priors that need them.

    Raises:
        UserError: the shares do not fit the strata.
    """
    return prior_of(prior.name, trained.users_K, trained.events_K, examples_K=examples_K, **options_of(prior))
