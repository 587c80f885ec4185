"""P(z): the shares of the strata in the population that training should be about.

The activity stratum z of a user decides both how much of a batch D he fills and what his gradients G look like, so batches see
P(G|D) = sum_z P(G|D, z) P(z|D), where P(z|D) is the head-heavy share of examples. Setting D by hand cuts the first arrow and
leaves z as it is in the population:

    P(G|do(D)) = sum_z P(G|D, z) P(z)

Which population is the modeller's choice, and the only free one in the formula. Users are those who bring a target to train on, for
P(G|D, z) is known of no others: with leave-one-out a user of three events has one training event and no target, and a stratum of
such users has no share in any of these:

    user      users_z / users     an average *user* (the default)
    event     events_z / events   an average *event*: nearly joint training, as a control; that weighs by targets:
                                  of a user all events but one, at most max_len
    uniform   1 / K               an average *stratum*, of those that have users
    tempered  proportional to users_z^(1/T): T = 1 is `user`, T -> infinity is uniform over the strata that have users. The scaling
              that multilingual and multi-task training uses for its corpora (T5: Raffel et al. 2020, section 3.5.2, without its
              size limit; XLM-R calls 1/T alpha)
    class_balanced  proportional to M_z (1 - beta) / (1 - beta^M_z), with M_z examples in the data: see below
    explicit  as given

PIN's release takes the plain mean over its K groups, i.e. `uniform`; its groups appear to hold equally many users, for which
`user`, `tempered` and `uniform` are the same.

`class_balanced` is a rival's (Cui et al., CVPR 2019, eq. 2-4), with strata in the place of classes. M_z examples of a stratum
overlap, so they are worth an *effective number* of E_z = (1 - beta^M_z) / (1 - beta) <= 1 / (1 - beta) distinct ones, and each gets
the weight 1 / E_z. A stratum then weighs its M_z examples times that, which is the mean gradient G_z with

    P(z) proportional to M_z / E_z = M_z (1 - beta) / (1 - beta^M_z)

beta = 0 gives M_z, joint training; beta -> 1 gives E_z = M_z, `uniform`. Fixed weights for examples are what
estimator=horvitz_thompson gives them: P(z) / E[N_z] is proportional to 1 / E_z, for E[N_z] is to M_z.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ltrec.causal.priors import PRIORS as PRIORS
from ltrec.core.errors import UserError


class Population(NamedTuple):
    """Inputs of a prior: trainable users, their events and their examples per stratum, float64 [K]."""

    users_K: Tensor
    events_K: Tensor
    examples_K: Tensor


def tempered(population: Population, *, temperature: float) -> Tensor:
    """users_z^(1/T) up to a factor; through logarithms, so that neither T -> 0 (the largest stratum alone) nor infinity breaks."""
    logs_K = population.users_K.log()
    populated = population.users_K > 0
    return torch.where(populated, ((logs_K - logs_K.max()) / temperature).exp(), 0.0)


def class_balanced(population: Population, *, beta: float) -> Tensor:
    """M_z over the effective number of M_z examples, which is at least 1; 0 for a stratum without any."""
    base, examples_K = torch.tensor(beta, dtype=torch.float64), population.examples_K
    effective_K = -torch.expm1(examples_K * base.log()) / (1 - base)
    return torch.where(examples_K > 0, examples_K / effective_K, 0.0)


def explicit(population: Population, *, shares: Sequence[float]) -> Tensor:
    """The user's own shares.

    Raises:
        UserError: there is not one for every stratum.
    """
    given, strata = len(shares), len(population.users_K)
    if given != strata:
        raise UserError(f"`shares` has {given} numbers, the data has {strata} strata; give one share per stratum")
    return torch.as_tensor(shares, dtype=torch.float64, device="cpu")


def by_user(population: Population) -> Tensor:
    """An average user."""
    return population.users_K


def by_event(population: Population) -> Tensor:
    """An average event."""
    return population.events_K


def uniform(population: Population) -> Tensor:
    """The same share for every stratum that has users."""
    return (population.users_K > 0).double()


def prior_of(
    name: str,
    users_K: Sequence[float] | Tensor,
    events_K: Sequence[float] | Tensor,
    *,
    examples_K: Sequence[float] | Tensor | None = None,
    **options: Any,
) -> Tensor:
    """P(z), float64 [K], summing to 1.

    Args:
        name: of `PRIORS`.
        users_K: users per stratum who bring a target (the stream's `Trained`).
        events_K: their training events.
        examples_K: training examples per stratum (`expected.examples_K`); only priors with `counts_examples` use them.
        options: the prior's own, as in its config: temperature, beta, shares.

    Raises:
        UserError: unknown name, or the wrong number of shares.
    """
    prior = PRIORS[name]
    assert examples_K is not None or not prior.counts_examples, name
    columns = (users_K, events_K, events_K if examples_K is None else examples_K)
    users, events, examples = (torch.as_tensor(column, dtype=torch.float64, device="cpu") for column in columns)
    assert len(users) == len(events) > 0, (users, events)
    prior_K = prior.make(Population(users, events, examples), **options)
    total = prior_K.sum()
    assert (prior_K >= 0).all() and 0 < total < torch.inf, prior_K
    return prior_K / total
