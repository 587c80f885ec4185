"""Memory: what a count of neighbours (`recall`) adds to a network's scores, in one place after scoring.

Of one user a network gives every item a score s_i, and a memory m_i >= 0. Over the candidates C, the items that may be recommended
(all, or those that the user has not seen),

    p_i = exp(s_i) / Z,  Z = sum_C exp(s_j)        q_i = m_i / sum_C m_j

    mix   log((1 - w) p_i + w q_i)                 0 <= w < 1    interpolation of two distributions, as in kNN-LM
    log   log p_i + w log(q_i + e),  e = 1e-4      0 <= w        a product of experts

(Khandelwal et al., "Generalization through Memorization: Nearest Neighbor Language Models", ICLR 2020; Hinton, "Training Products
of Experts by Minimizing Contrastive Divergence", Neural Computation 2002.) Either is taken less what all items of a user share,
which no ranking sees: log((1 - w) / Z), or w log e - log Z. What is left is

    mix   log(exp(s_i) + w / (1 - w) q_i Z)        log   s_i + w log(1 + q_i / e)

so an item that is not a neighbour, q_i = 0, keeps the network's score to the bit, and the others rise. Hence w = 0, or a user
none of whose candidates is remembered, is the network's ranking exactly; no probability is ever formed that could underflow and
tie, however many items there are and however sure the network is; and scores stay on the network's scale, comparable within a user.
Where the network's part of a mix is too small for float32 to show, equally remembered items still keep the network's order.

Letters: B rows, V items, P pairs of a row and one of its neighbours, Q pairs that are remembered as well as another of their row,
S pairs of a row and a seen item.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from torch import Tensor

from ltrec.models.memory_forms import FORMS as FORMS

EPSILON = 1e-4
"""e: probability that the log form assigns to an item that is not a neighbour."""


@dataclass(frozen=True, slots=True)
class Remembered:
    """The neighbours among the items of B users, row by row, and all that their scores depend on.

    Attributes:
        form: `mix` or `log`.
        row_P, place_P: int64, whose, and the entry of [B, V+1], its rows end to end; only of users who have a neighbour among their
            candidates.
        score_P: float64, the network's score s.
        told_P: float64, what the memory says whatever the weight: log q for `mix`, log(1 + q / e) for `log`. q is above 0. A seen
            item that is not a candidate has one too, beside the candidates' sum of 1.
        log_total_B: float64, log Z; empty for `log`, which has no need of it.
        equal_Q: int64, which of the pairs are as well remembered as another, in the order of row, q and s; empty for `log`.
        group_Q: int64, their `_group`.
    """

    form: str
    row_P: Tensor
    place_P: Tensor
    score_P: Tensor
    told_P: Tensor
    log_total_B: Tensor
    equal_Q: Tensor
    group_Q: Tensor

    @staticmethod
    def joined(parts: Sequence[Remembered], starts: Sequence[int], width: int) -> Remembered:
        """What is remembered of several blocks of rows, as of one whose rows of `width` begin at `starts`; at least one block."""
        pairs = itertools.accumulate((len(part.row_P) for part in parts), initial=0)
        moved = [part._moved(start, start * width, before) for part, start, before in zip(parts, starts, pairs, strict=False)]
        names = [field.name for field in fields(Remembered) if field.name != "form"]
        return Remembered(parts[0].form, *(torch.cat([getattr(part, name) for part in moved]) for name in names))

    def _moved(self, rows: int, places: int, pairs: int) -> Remembered:
        row_P, place_P, equal_Q = self.row_P + rows, self.place_P + places, self.equal_Q + pairs
        return replace(self, row_P=row_P, place_P=place_P, equal_Q=equal_Q, group_Q=self.group_Q + (rows << 32))


def remember(scores_BV: Tensor, memory_BV: Tensor, form: str, seen: tuple[Tensor, Tensor] | None) -> Remembered:
    """Find the neighbours of every row.

    Args:
        scores_BV: the network's [B, V+1], contiguous; column 0 is -inf.
        memory_BV: m, float32 [B, V+1], contiguous, at least 0; column 0 is 0.
        form: `mix` or `log`.
        seen: rows and items [S] that are not candidates, repeats allowed; None = every item is one.
    """
    place_S = None if seen is None else seen[0] * scores_BV.shape[1] + seen[1]
    row_P, place_P, memory_P, sum_P = _speaking(memory_BV, place_S)
    share_P, score_P = memory_P.double() / sum_P, scores_BV.view(-1).index_select(0, place_P).double()
    if form == "log":
        none, told_P = row_P.new_zeros(0), torch.log1p(share_P / EPSILON)
        return Remembered(form, row_P, place_P, score_P, told_P, score_P.new_zeros(0), none, none)
    with _without(scores_BV, place_S, -torch.inf):
        log_total_B = scores_BV.logsumexp(dim=1).double()
    group_P = _group(row_P, memory_P)
    equal_Q = _repeated(group_P)
    equal_Q = equal_Q[score_P[equal_Q].argsort()]
    equal_Q = equal_Q[group_P[equal_Q].argsort(stable=True)]
    return Remembered(form, row_P, place_P, score_P, torch.log(share_P), log_total_B, equal_Q, group_P[equal_Q])


def blend(scores_BV: Tensor, remembered: Remembered, weight_B: Tensor) -> Tensor:
    """Give the neighbours their scores, in place; all other items keep theirs.

    Args:
        scores_BV: [B, V+1], contiguous.
        remembered: of the same rows.
        weight_B: float64, w of every row; below 1 for `mix`.
    """
    r = remembered
    if r.form == "mix":
        odds_P = torch.log(weight_B / (1 - weight_B)).index_select(0, r.row_P)
        memory_P = odds_P.add_(r.told_P).add_(r.log_total_B.index_select(0, r.row_P))
        lifted_P = torch.logaddexp(r.score_P, memory_P).to(scores_BV.dtype)
        lifted_P[r.equal_Q] = _apart(lifted_P[r.equal_Q], r.group_Q, r.score_P[r.equal_Q])
    else:
        lifted_P = (r.score_P + weight_B.index_select(0, r.row_P) * r.told_P).to(scores_BV.dtype)
    scores_BV.view(-1).scatter_(0, r.place_P, lifted_P)
    return scores_BV


def _speaking(memory_BV: Tensor, place_S: Tensor | None) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Row, place, m and the candidates' sum of m (float64) of every neighbour of the rows in which that sum is above 0."""
    row_P, place_P, lengths_B = nonzero(memory_BV)
    memory_P = memory_BV.view(-1).index_select(0, place_P)
    with _without(memory_BV, place_S, 0.0):
        candidate_P = memory_BV.view(-1).index_select(0, place_P).double()
    sum_P = torch.segment_reduce(candidate_P, "sum", lengths=lengths_B).index_select(0, row_P)
    speaks_P = sum_P > 0
    if speaks_P.all():
        return row_P, place_P, memory_P, sum_P
    at_P = speaks_P.nonzero()[:, 0]
    return row_P[at_P], place_P[at_P], memory_P[at_P], sum_P[at_P]


def nonzero(memory_BV: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Row and place [P] of the entries that are not 0, and how many each row has [B].

    On a CPU numpy finds them four times as fast as torch: it passes over several entries that are 0 at once.
    """
    rows, width = memory_BV.shape
    if memory_BV.device.type == "cpu":
        place_P = torch.from_numpy(np.flatnonzero(memory_BV.numpy() != 0))
        lengths_B = torch.searchsorted(place_P, torch.arange(rows + 1) * width).diff()
        return torch.repeat_interleave(torch.arange(rows), lengths_B, output_size=len(place_P)), place_P, lengths_B
    row_P, item_P = memory_BV.nonzero(as_tuple=True)
    return row_P, row_P * width + item_P, torch.bincount(row_P, minlength=rows)


def _group(row_P: Tensor, memory_P: Tensor) -> Tensor:
    """One number of row and m, in their order: floats that are not negative are in the order of their bits."""
    return (row_P << 32) | _bits(memory_P).long()


def _repeated(group_P: Tensor) -> Tensor:
    """Which numbers occur more than once. Most often none does, which sorting them, without their places, is enough to tell; on a
    CPU numpy sorts them four times as fast as torch."""
    sorted_P = torch.from_numpy(np.sort(group_P.numpy())) if group_P.device.type == "cpu" else group_P.sort()[0]
    twice_Q = sorted_P[1:][sorted_P.diff() == 0]
    if not len(twice_Q):
        return twice_Q
    at_P = torch.searchsorted(twice_Q, group_P).clamp_(max=len(twice_Q) - 1)
    return (twice_Q[at_P] == group_P).nonzero()[:, 0]


def _apart(lifted_Q: Tensor, group_Q: Tensor, score_Q: Tensor) -> Tensor:
    """Raise, among equally remembered items that rounding has made equal, each by one more unit in the last place than the one
    before it in the network's order. Equal scores of the network stay equal."""
    same_Q = (group_Q.diff() == 0) & (lifted_Q.diff() == 0)
    if not len(same_Q) or not same_Q.any():
        return lifted_Q
    above_Q = torch.nn.functional.pad((same_Q & (score_Q.diff() > 0)).long(), (1, 0)).cumsum(0)
    begins_Q = torch.nn.functional.pad(~same_Q, (1, 0), value=True)
    steps_Q = above_Q - above_Q[begins_Q.nonzero()[:, 0]][begins_Q.long().cumsum(0) - 1]
    bits_Q = _bits(lifted_Q)
    return (bits_Q + torch.where(lifted_Q < 0, -steps_Q, steps_Q).to(bits_Q.dtype)).view(lifted_Q.dtype)


def _bits(values: Tensor) -> Tensor:
    return values.view({torch.float32: torch.int32, torch.float64: torch.int64}[values.dtype])


@contextmanager
def _without(values_BV: Tensor, place_S: Tensor | None, absent: float) -> Iterator[None]:
    """A context in which the values at some places [S] (repeats allowed) are `absent`; it restores them."""
    if place_S is None:
        yield
        return
    flat = values_BV.view(-1)
    kept_S = flat.index_select(0, place_S)
    flat.index_fill_(0, place_S, absent)
    yield
    flat.scatter_(0, place_S, kept_S)
