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

Letters: B rows, V items, P pairs of a row and one of its neighbours, S pairs of a row and a seen item.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

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
        row_P, item_P: int64, whose and which; only of users who have a neighbour among their candidates.
        score_P: float64, the network's score s. The pairs of a row are in the order of q, then of s.
        share_P: float64, q, above 0. A seen item that is not a candidate has one too, beside the candidates' sum of 1.
        log_total_P: float64, log Z of the row; empty for `log`, which has no need of it.
    """

    form: str
    row_P: Tensor
    item_P: Tensor
    score_P: Tensor
    share_P: Tensor
    log_total_P: Tensor

    @staticmethod
    def joined(parts: Sequence[Remembered], starts: Sequence[int]) -> Remembered:
        """What is remembered of several blocks of rows, as of one whose rows begin at `starts`; at least one block."""
        row_P = torch.cat([part.row_P + start for part, start in zip(parts, starts, strict=True)])
        item_P, score_P, share_P, log_total_P = (
            torch.cat([getattr(part, name) for part in parts]) for name in ("item_P", "score_P", "share_P", "log_total_P")
        )
        return Remembered(parts[0].form, row_P, item_P, score_P, share_P, log_total_P)


def remember(scores_BV: Tensor, memory_BV: Tensor, form: str, seen: tuple[Tensor, Tensor] | None) -> Remembered:
    """Find the neighbours of every row.

    Args:
        scores_BV: the network's [B, V+1]; column 0 is -inf.
        memory_BV: m [B, V+1], at least 0; column 0 is 0.
        form: `mix` or `log`.
        seen: rows and items [S] that are not candidates, repeats allowed; None = every item is one.
    """
    row_P, item_P = memory_BV.nonzero(as_tuple=True)
    memory_P = memory_BV[row_P, item_P].double()
    with _without(memory_BV, seen, 0.0):
        candidate_P = memory_BV[row_P, item_P].double()
    lengths_B = torch.bincount(row_P, minlength=len(memory_BV))
    sum_P = torch.segment_reduce(candidate_P, "sum", lengths=lengths_B)[row_P]
    speaks_P = sum_P > 0
    row_P, item_P, share_P = row_P[speaks_P], item_P[speaks_P], (memory_P / sum_P)[speaks_P]
    score_P, log_total_P = scores_BV[row_P, item_P].double(), share_P.new_zeros(0)
    if form == "mix":
        with _without(scores_BV, seen, -torch.inf):
            log_total_B = scores_BV.logsumexp(dim=1).double()
        order_P = _order(row_P, share_P, score_P)
        row_P, item_P, share_P, score_P = row_P[order_P], item_P[order_P], share_P[order_P], score_P[order_P]
        log_total_P = log_total_B[row_P]
    return Remembered(form, row_P, item_P, score_P, share_P, log_total_P)


def blend(scores_BV: Tensor, remembered: Remembered, weight_B: Tensor) -> Tensor:
    """Give the neighbours their scores, in place; all other items keep theirs.

    Args:
        scores_BV: [B, V+1].
        remembered: of the same rows.
        weight_B: float64, w of every row; below 1 for `mix`.
    """
    r, weight_P = remembered, weight_B[remembered.row_P]
    if r.form == "mix":
        exact_P = torch.logaddexp(r.score_P, torch.log(weight_P / (1 - weight_P)) + torch.log(r.share_P) + r.log_total_P)
        lifted_P = _apart(exact_P.to(scores_BV.dtype), r)
    else:
        lifted_P = (r.score_P + weight_P * torch.log1p(r.share_P / EPSILON)).to(scores_BV.dtype)
    scores_BV[r.row_P, r.item_P] = lifted_P
    return scores_BV


def _order(row_P: Tensor, share_P: Tensor, score_P: Tensor) -> Tensor:
    """By row, then q, then s."""
    order_P = score_P.argsort()
    order_P = order_P[share_P[order_P].argsort(stable=True)]
    return order_P[row_P[order_P].argsort(stable=True)]


def _apart(lifted_P: Tensor, r: Remembered) -> Tensor:
    """Raise, among equally remembered items that rounding has made equal, each by one more unit in the last place than the one
    before it in the network's order. Equal scores of the network stay equal."""
    same_P = (r.row_P.diff() == 0) & (r.share_P.diff() == 0) & (lifted_P.diff() == 0)
    if not len(same_P) or not same_P.any():
        return lifted_P
    above_P = torch.nn.functional.pad((same_P & (r.score_P.diff() > 0)).long(), (1, 0)).cumsum(0)
    begins_P = torch.nn.functional.pad(~same_P, (1, 0), value=True)
    steps_P = above_P - above_P[begins_P.nonzero()[:, 0]][begins_P.long().cumsum(0) - 1]
    bits_P = lifted_P.view({torch.float32: torch.int32, torch.float64: torch.int64}[lifted_P.dtype])
    return (bits_P + torch.where(lifted_P < 0, -steps_P, steps_P).to(bits_P.dtype)).view(lifted_P.dtype)


@contextmanager
def _without(values_BV: Tensor, pairs: tuple[Tensor, Tensor] | None, absent: float) -> Iterator[None]:
    """A context in which the values of some pairs [S] of row and item (repeats allowed) are `absent`; it restores them."""
    if pairs is None:
        yield
        return
    kept_S = values_BV[pairs]
    values_BV[pairs] = absent
    yield
    values_BV[pairs] = kept_S
