"""Whom a run is about: its strata, its P(z), and which stratum's plugins serve whom. Training, evaluation and prediction ask here,
so that they cannot differ."""

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
    """The strata that training knows, the data set's or fewer, and which of them each of the data set's is part of.

    Raises:
        UserError: more are asked for than there are.
    """
    return manifest.strata.merged(config.strata or manifest.strata.count)


def strata_of(config: RunConfig, manifest: Manifest) -> Strata:
    """The strata that training knows.

    Raises:
        UserError: more are asked for than there are.
    """
    return merged_strata(config, manifest).strata


def trained_strata(config: RunConfig, manifest: Manifest) -> tuple[int, ...]:
    """Those of `strata_of` that something trains, ascending: steps hold their users, and P(z) gives them a share.

    Raises:
        UserError: the settings do not fit the data set.
    """
    merged = merged_strata(config, manifest)
    trained = TrainedUsers.of(manifest, config.stream.users).merged(merged)
    prior = UserPriorConfig() if config.combination is None else config.combination.prior
    share_K = prior_by(prior, trained, trained.users_K)  # examples decide how large a share is, not whether there is one
    drawn = {merged.stratum_map[z] for z in drawn_strata(manifest, config.stream).tolist()}
    return tuple(z for z in sorted(drawn) if share_K[z] > 0)


def heirs_of(config: RunConfig, manifest: Manifest) -> tuple[int, ...]:
    """The stratum whose plugins serve the histories of each of `strata_of`.

    Raises:
        UserError: the settings do not fit the data set.
    """
    strata = strata_of(config, manifest)
    trained = trained_strata(config, manifest) if PLUGINS[config.trained_plugin.name].by_stratum else ()
    return strata.heirs(trained or range(strata.count))


def prior_by(prior: PriorConfig, trained: TrainedUsers, examples_K: Sequence[float] | Tensor | None) -> Tensor:
    """P(z), float64 [K], over the users who train.

    Args:
        prior: what the user said.
        trained: who they are.
        examples_K: their examples (`expected.examples_K`), for priors that look at them.

    Raises:
        UserError: the shares do not fit the strata.
    """
    return prior_of(prior.name, trained.users_K, trained.events_K, examples_K=examples_K, **options_of(prior))
