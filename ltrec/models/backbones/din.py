"""DIN with dot-product target attention, as the public release of PIN has it: the candidate is the query over the history.

    target     t   = tanh(dense_target(e_target))
    history    h_l = tanh(dense_history(e_l))             one item table for both, a dense layer each; no positions, no user ids
    attention  r   = sum_l softmax_l(<W_q t, W_k h_l> / sqrt(D)) W_v h_l
    score      MLP([t ; r]):  tanh layers, then one logit

The state depends on the candidate, so DIN is a CandidateScorer and no Encoder. Trained on negatives: at every position the
prefix that ends there is the history. Neither in training nor over the catalogue is anything of size positions x candidates x width
held: candidates go through in chunks, whose inner values the backward pass computes again when they are many.

Plugins: place `items` is every item vector, of history *and* candidates alike: in the release one network A_z serves both. Place
`state` is r. A candidate's side (vector, dense, query, its share of the first layer) depends on its stratum and not on the row.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from ltrec.core.batch import SequenceBatch
from ltrec.models.backbones.protocol import Adapt
from ltrec.models.by_segment import recomputed
from ltrec.models.dropout import Dropout
from ltrec.models.inputs import NO_INPUTS, Inputs, layers_of
from ltrec.models.layout import AttentionLayout, attention_layout
from ltrec.models.target_attention import TargetAttention, attend, causal, rectangle

KEEP_BYTES = 512 * 2**20
"""Inner values of all candidates up to this are kept for the backward pass; more are computed again there, chunk by chunk."""

CHUNK_BYTES = 32 * 2**20
"""Inner values of a chunk of candidates in training."""

RANK_BYTES = 4 * 2**20
"""The same limit when the catalogue is scored on the CPU, where the cache matters."""

RANK_BYTES_DEVICE = 512 * 2**20
"""The same limit on an accelerator, where large kernels are faster."""


class DIN(nn.Module):
    """A CandidateScorer; see `ltrec.models.backbones.protocol`.

    Initial values: item vectors normal with `init_std`, matrices Xavier-uniform, biases 0. No layer couples rows. A row without
    history has r = 0.

    Args:
        num_items: V; ids run from 1 to V, 0 is padding.
        max_len: longest row that can be scored.
        inputs: what is known besides ids.
        width, layers, dropout, init_std: see `DINConfig`.

    Raises:
        UserError: `dropout` is not between 0 and 1.
    """

    places = ("items", "state")
    segments_obstacle = None  # every layer computes position by position, or candidate by candidate
    splits_on = ("cpu",)  # measured: layers over every candidate cost their arithmetic

    def __init__(
        self,
        num_items: int,
        max_len: int,
        inputs: Inputs = NO_INPUTS,
        *,
        width: int = 32,
        layers: tuple[int, ...] = (128, 64),
        dropout: float = 0.0,
        init_std: float = 0.02,
    ) -> None:
        super().__init__()
        self.max_len, self.width = max_len, width
        self.drop = Dropout(dropout)
        self.items, self.events = inputs.item_vectors(num_items, width), inputs.event_inputs(width)
        self.target, self.history = nn.Linear(width, width), nn.Linear(width, width)
        self.attention = TargetAttention(width)
        self.from_target = nn.Linear(width, layers[0])  # the two halves of the layer over [t ; r]
        self.from_history = nn.Linear(width, layers[0], bias=False)
        self.middle = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(layers))
        self.last = nn.Linear(layers[-1], 1)
        self._pair_width = 6 * width + 3 * sum(layers)
        self._initialise(init_std)

    @torch.no_grad()
    def _initialise(self, std: float) -> None:
        for module in layers_of(self):
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        halves = (self.from_target.weight, self.from_history.weight)
        nn.init.xavier_uniform_(whole := torch.cat(halves, 1))
        for half, values in zip(halves, whole.chunk(2, 1), strict=True):
            half.copy_(values)
        self.items.initialise(std)

    # -- history, candidates, and their scores -------------------------------------------------------------------------------------

    def _history(self, batch: SequenceBatch, adapt: Adapt | None) -> Tensor:
        """Keys and values of every position, side by side: [T, 2 D]."""
        vectors_TD = self.items(batch.items_T)
        if adapt is not None:
            vectors_TD = adapt("items", vectors_TD, batch.stratum_of_position())
        if self.events is not None:
            vectors_TD = vectors_TD + self.events(batch)
        keys_and_values: Tensor = self.attention.into(torch.tanh(self.history(self.drop(vectors_TD))))
        return keys_and_values

    def _candidates(self, items_NM: Tensor, stratum_N: Tensor, adapt: Adapt | None) -> tuple[Tensor, Tensor]:
        """Queries [N, M, D] and shares of the first layer [N, M, H] of candidates."""
        vectors_NMD = self.items(items_NM)
        if adapt is not None:
            vectors_NMD = adapt("items", vectors_NMD, stratum_N)
        target_NMD = torch.tanh(self.target(vectors_NMD))
        return self.attention.query(target_NMD), self.from_target(target_NMD)

    def _logits(self, first_NMH: Tensor, mixed_NMD: Tensor, stratum_N: Tensor, adapt: Adapt | None) -> Tensor:
        """From interests [N, M, D] to scores [N, M]."""
        if adapt is not None:
            mixed_NMD = adapt("state", mixed_NMD, stratum_N)
        hidden = self.drop(torch.tanh(first_NMH + self.from_history(mixed_NMD)))
        for layer in self.middle:
            hidden = self.drop(torch.tanh(layer(hidden)))
        logits: Tensor = self.last(hidden)[..., 0]
        return logits

    @property
    def pair_bytes(self) -> int:
        """About what the inner values of one candidate at one position take."""
        return self._pair_width * self.last.weight.element_size()

    # -- training ---------------------------------------------------------------------------------------------------------------

    def candidate_logits(self, batch: SequenceBatch, candidates_TM: Tensor, adapt: Adapt | None = None) -> Tensor:
        """Scores of M candidates after every position: [T, M]. Rows must not exceed `max_len`."""
        layout = attention_layout(batch.offsets, batch.items_T.numel(), self.max_len, batch.host)
        key_value = self._history(batch, adapt)
        groups, stratum_T = layout.pad(key_value), batch.stratum_of_position()
        per_candidate = max(1, len(candidates_TM)) * self.pair_bytes
        score = partial(self._chunk, layout, groups, stratum_T, adapt)
        chunks = torch.split(candidates_TM, max(1, CHUNK_BYTES // per_candidate), dim=1)
        if candidates_TM.shape[1] * per_candidate <= KEEP_BYTES or not torch.is_grad_enabled():
            return torch.cat([score(chunk) for chunk in chunks], 1)
        return torch.cat([checkpoint(score, chunk, use_reentrant=False, context_fn=recomputed) for chunk in chunks], 1)

    def _chunk(
        self, layout: AttentionLayout, groups: list[Tensor], stratum_T: Tensor, adapt: Adapt | None, candidates_TM: Tensor
    ) -> Tensor:
        """Scores of some of the candidates."""
        many = candidates_TM.shape[1]
        query_TMD, first_TMH = self._candidates(candidates_TM, stratum_T, adapt)
        mixed = []
        for query, key_value in zip(layout.pad(query_TMD.flatten(1)), groups, strict=True):
            rows, length, _ = query.shape
            mixed_RQD = attend(query.view(rows, length * many, -1), key_value, causal(length, many, query.device))
            mixed.append(mixed_RQD.reshape(rows, length, -1))
        return self._logits(first_TMH, layout.unpad(mixed).view_as(query_TMD), stratum_T, adapt)

    # -- the catalogue ----------------------------------------------------------------------------------------------------------

    def scores(self, batch: SequenceBatch, adapt: Adapt | None = None) -> Tensor:
        """Scores after the last position of every row: [B, V+1], column 0 = -inf."""
        dtype, shape = torch.promote_types(self.last.weight.dtype, torch.float32), (batch.num_rows, self.items.num_items + 1)
        scores_BV = self.last.weight.new_full(shape, -torch.inf, dtype=dtype)
        for rows_R in _rows_by_stratum(batch, adapt):
            part = batch.select(rows_R)
            key_value = self._history(part, adapt)
            for items, rows, logits in self._catalogue(part, key_value, adapt):
                scores_BV[rows_R[rows], items] = logits.to(scores_BV.dtype)
        return scores_BV

    def _catalogue(self, batch: SequenceBatch, key_value_TC: Tensor, adapt: Adapt | None) -> Iterator[tuple[slice, Tensor, Tensor]]:
        """Scores of chunks of items for chunks of the rows of one stratum, rows of like lengths together."""
        stop, order_B = self.items.num_items + 1, batch.lengths_B.argsort()
        budget = RANK_BYTES if key_value_TC.device.type == "cpu" else RANK_BYTES_DEVICE
        pairs = max(1, budget // self.pair_bytes)
        stratum_1 = batch.stratum_B[:1]
        for start in range(1, stop, pairs):
            items = slice(start, min(start + pairs, stop))
            ids = torch.arange(items.start, items.stop, device=key_value_TC.device)
            query, first = self._candidates(ids[None], stratum_1, adapt)
            for rows in torch.split(order_B, max(1, pairs // len(ids))):
                mixed = attend(query, *rectangle(batch, rows, key_value_TC))
                yield items, rows, self._logits(first, mixed, batch.stratum_B[rows], adapt)

    def forward(self, batch: SequenceBatch) -> Tensor:
        """`scores`."""
        return self.scores(batch)


def _rows_by_stratum(batch: SequenceBatch, adapt: Adapt | None) -> list[Tensor]:
    """Row numbers of every stratum present; all rows in one where strata make no difference."""
    if adapt is None:
        return [torch.arange(batch.num_rows, device=batch.offsets.device)]
    return [(batch.stratum_B == stratum).nonzero()[:, 0] for stratum in torch.unique(batch.stratum_B)]
