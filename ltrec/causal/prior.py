"""P(z): the shares of the strata in the population that training should be about.

The activity stratum z of a user decides both how much of a batch D he fills and what his gradients G look like, so batches see
P(G|D) = sum_z P(G|D, z) P(z|D), where P(z|D) is the head-heavy share of examples. Setting D by hand cuts the first arrow and
leaves z as it is in the population:

    P(G|do(D)) = sum_z P(G|D, z) P(z)

Which population is the modeller's choice, and the only free one in the formula:

    user      users_z / users     an average *user* (the default)
    event     events_z / events   an average *event*: nearly joint training, as a control; that weighs by targets:
                                  of a user all events but one, at most max_len
    uniform   1 / K               an average *stratum*
    tempered  proportional to users_z^(1/T): T = 1 is `user`, T -> infinity is uniform over the strata that have users. The scaling
              that multilingual and multi-task training uses for its corpora (T5: Raffel et al. 2020, section 3.5.2, without its
              size limit; XLM-R calls 1/T alpha)
    explicit  as told

PIN's release takes the plain mean over its K groups, i.e. `uniform`; its groups appear to hold equally many users, for which
`user`, `tempered` and `uniform` are the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ltrec.core.errors import UserError, nearest


class Population(NamedTuple):
    """What a prior may look at: users and events per stratum, float64 [K], and what the user said."""

    users_K: Tensor
    events_K: Tensor
    temperature: float
    shares_K: Tensor


def tempered(population: Population) -> Tensor:
    """users_z^(1/T) up to a factor; through logarithms, so that neither T -> 0 (the largest stratum alone) nor infinity breaks."""
    logs_K = population.users_K.log()
    populated = population.users_K > 0
    return torch.where(populated, ((logs_K - logs_K.max()) / population.temperature).exp(), 0.0)


def explicit(population: Population) -> Tensor:
    """The user's own shares.

    Raises:
        UserError: there is not one for every stratum.
    """
    given, strata = len(population.shares_K), len(population.users_K)
    if given != strata:
        raise UserError(f"causal.shares has {given} numbers, the data has {strata} strata; give one share per stratum")
    return population.shares_K


PRIORS: dict[str, Callable[[Population], Tensor]] = {
    "user": lambda population: population.users_K,
    "event": lambda population: population.events_K,
    "uniform": lambda population: torch.ones_like(population.users_K),
    "tempered": tempered,
    "explicit": explicit,
}
"""name -> shares up to a common factor."""


def prior_of(
    name: str,
    users_K: Sequence[float] | Tensor,
    events_K: Sequence[float] | Tensor,
    *,
    temperature: float = 1.0,
    shares: Sequence[float] = (),
) -> Tensor:
    """P(z), float64 [K], summing to 1.

    Args:
        name: of `PRIORS`.
        users_K: training users per stratum (the manifest's `strata.users`).
        events_K: training events per stratum (the manifest's `strata.events`).
        temperature: T > 0 of `tempered`.
        shares: of `explicit`, not negative, one per stratum.

    Raises:
        UserError: unknown name, or the wrong number of shares.
    """
    if name not in PRIORS:
        raise UserError(f"unknown causal.prior {name!r}{nearest(name, PRIORS)}; known: {', '.join(PRIORS)}")
    columns = (torch.as_tensor(column, dtype=torch.float64, device="cpu") for column in (users_K, events_K, shares))
    users, events, told = columns
    assert len(users) == len(events) > 0, (users, events)
    prior_K = PRIORS[name](Population(users, events, temperature, told))
    total = prior_K.sum()
    assert (prior_K >= 0).all() and 0 < total < torch.inf, prior_K
    return prior_K / total
