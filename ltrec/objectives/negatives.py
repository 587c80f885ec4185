"""Negative items: the distributions they are drawn from; a draw is a pure function of (seed, step, example).

A proposal turns 64 hashed bits into an item and knows the item's log-probability q, which the logQ correction needs. No generator
is involved: the same example gets the same negatives on any rank, in any batch layout, before and after a resume.
"""

from __future__ import annotations

from typing import Protocol, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from ltrec.core.errors import UserError, nearest
from ltrec.core.hashing import mix, mix_tensor, uniform
from ltrec.objectives.draw import Draw

_TO_EXAMPLE, _TO_NUMBER = 0x6E656761, 0x74697665  # keep these draws apart from others of the same seed


class Proposal(Protocol):
    """A distribution over the items 1..V."""

    def items(self, bits: Tensor) -> Tensor:
        """One item per hashed int64, shape kept."""

    def log_prob(self, items: Tensor) -> Tensor:
        """log q of each item, float32, shape kept."""


class UniformProposal(nn.Module):
    """Uniform over the items.

    Args:
        train_count: int64 [V+1]; its length gives V.
        among: only these items, by id; None = all.
    """

    among: Tensor | None

    def __init__(self, train_count: Tensor, among: Tensor | None = None) -> None:
        super().__init__()
        self.register_buffer("among", among, persistent=False)
        self.num_items = train_count.numel() - 1 if among is None else among.numel()

    def items(self, bits: Tensor) -> Tensor:
        """One item per hashed int64, shape kept."""
        number = (uniform(bits) * self.num_items).long()
        return number + 1 if self.among is None else self.among[number]

    def log_prob(self, items: Tensor) -> Tensor:
        """-log of how many there are."""
        return torch.full(items.shape, -np.log(self.num_items), device=items.device, dtype=torch.float32)


class PopularityProposal(nn.Module):
    """Items in proportion to (training count) ** alpha, by Walker's alias method as Vose (1991) builds it: two look-ups per draw.

    Args:
        train_count: int64 [V+1], training events of each item; entry 0 is ignored. Items without any are never drawn.
        alpha: 1 = as popular, 0 = uniform over items that occur.
    """

    def __init__(self, train_count: Tensor, alpha: float) -> None:
        super().__init__()
        count = train_count[1:].cpu().numpy().astype(np.float64)
        weight = np.where(count > 0, np.maximum(count, 1) ** alpha, 0.0)
        probability = weight / weight.sum()
        stay, other = _alias_table(probability)
        log_prob = np.log(np.concatenate([[1.0], np.maximum(count, 1) ** alpha / weight.sum()]))
        self.register_buffer("stay", torch.from_numpy(stay), persistent=False)
        self.register_buffer("other", torch.from_numpy(other), persistent=False)
        self.register_buffer("table", torch.from_numpy(log_prob).float(), persistent=False)

    def items(self, bits: Tensor) -> Tensor:
        """One item per hashed int64, shape kept."""
        stay, other = cast(Tensor, self.stay), cast(Tensor, self.other)
        place = uniform(bits) * stay.numel()  # the integer part chooses a column, the fraction is the coin
        column = place.long()
        return torch.where(place - column < stay[column], column, other[column]) + 1

    def log_prob(self, items: Tensor) -> Tensor:
        """log q; items that are never drawn count as if they had occurred once, so that it is finite."""
        return cast(Tensor, self.table)[items]


def _alias_table(probability: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Cut the distribution into V equal columns of at most two items each: (share of the column's own item, the other item)."""
    stay = probability * len(probability)
    other = np.arange(len(probability))
    small, large = list(np.flatnonzero(stay < 1)), list(np.flatnonzero(stay >= 1))
    while small and large:
        poor, rich = small.pop(), large[-1]
        other[poor] = rich
        stay[rich] -= 1 - stay[poor]
        if stay[rich] < 1:
            small.append(large.pop())
    stay[small + large] = 1.0  # what rounding left over
    return stay, other


def make_proposal(
    name: str, train_count: Tensor, alpha: float, among: Tensor | None = None
) -> UniformProposal | PopularityProposal:
    """The proposal called `name`, over all items or `among` some; by popularity no item without an event is drawn anyway.

    Raises:
        UserError: for an unknown name.
    """
    if name == "uniform":
        return UniformProposal(train_count, among)
    if name == "popularity":
        return PopularityProposal(train_count, alpha)
    known = ("uniform", "popularity")
    raise UserError(f"`proposal`={name!r} is unknown{nearest(name, known)}; choose from {', '.join(known)}")


def negatives_per_example(proposal: Proposal, draw: Draw, count: int) -> Tensor:
    """`count` items for every example: [N, count], keyed by (seed, step, example)."""
    example_N = mix_tensor(mix(draw.seed, draw.step, _TO_EXAMPLE), draw.key_N)
    number_M = torch.arange(count, device=example_N.device)
    return proposal.items(mix_tensor(_TO_NUMBER, example_N[:, None] + number_M))


def negatives_per_step(proposal: Proposal, draw: Draw, count: int) -> Tensor:
    """`count` items that all examples of a step share: [count], keyed by (seed, step)."""
    number_M = torch.arange(count, device=draw.key_N.device)
    return proposal.items(mix_tensor(mix(draw.seed, draw.step, _TO_NUMBER), number_M))


def log_undrawn_V(proposal: Proposal, num_items: int, draws: int) -> Tensor:
    """Log-probability that an item is in none of so many draws, float64 [V+1]; 0 for padding.

    Args:
        proposal: of the draws.
        num_items: V.
        draws: their number.
    """
    items_V = torch.arange(num_items + 1, device="cpu")
    log_V = draws * torch.log1p(-proposal.log_prob(items_V).double().exp().clamp(max=1 - 1e-12))
    log_V[0] = 0.0
    return log_V
