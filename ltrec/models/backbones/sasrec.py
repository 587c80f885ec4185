"""SASRec: self-attentive sequential recommendation (Kang & McAuley, ICDM 2018), computed without padding.

    items_T -> item vector * sqrt(D) + position vector -> blocks x (attention, feed-forward) -> norm -> states_TD
    score(item) = <state, item vector>          the same table at both ends

Differences from the paper, each for a reason: blocks are pre-norm with plain residual sums (the paper norms only the queries);
heads may be more than one; the loss is not part of the model. Positions are counted from the end of the row, 0 = the last: that is
what the paper's left padding amounts to, since there the latest item always sits in the same place. With `positions=distance` there
are no position vectors: every layer learns how much each head looks how far back (`DistanceBias`). With `time_bias` it learns how
much each looks how long back, too (`TimeBias`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ltrec.core.batch import SequenceBatch
from ltrec.core.columns import TIME
from ltrec.core.errors import UserError, nearest
from ltrec.models.attention import CausalSelfAttention
from ltrec.models.backbones.config import NORMS, POSITIONS
from ltrec.models.backbones.protocol import Adapt
from ltrec.models.dropout import Dropout
from ltrec.models.inputs import NO_INPUTS, Inputs, ItemVectors, layers_of
from ltrec.models.inputs.times import elapsed_buckets
from ltrec.models.last_positions import LastPositions
from ltrec.models.layout import AttentionLayout, attention_layout
from ltrec.models.scoring import all_scores, last_states, zero_for_empty
from ltrec.models.segments import current


class SASRec(nn.Module):
    """An Encoder; see `ltrec.models.backbones.protocol`.

    Initial values: item and position vectors (biases by distance) normal with `init_std`, projections Xavier-uniform, biases 0,
    norms 1. No layer couples rows.

    Args:
        num_items: V; ids run from 1 to V, 0 is padding.
        max_len: longest row that can be encoded.
        inputs: what is known besides ids.
        width, blocks, heads, dropout, expansion, norm, positions, time_bias, init_std: see `SASRecConfig`.

    Raises:
        UserError: when `heads` does not divide `width`, `dropout` is not a share, `norm` or `positions` is unknown.
    """

    places = ("items", "state")
    segments_obstacle = None

    def __init__(
        self,
        num_items: int,
        max_len: int,
        inputs: Inputs = NO_INPUTS,
        *,
        width: int = 64,
        blocks: int = 2,
        heads: int = 2,
        dropout: float = 0.5,
        expansion: int = 1,
        norm: str = "pre",
        positions: str = "absolute",
        time_bias: bool = False,
        init_std: float = 0.02,
    ) -> None:
        super().__init__()
        if norm not in NORMS:
            raise UserError(f"`norm`={norm!r} is unknown{nearest(norm, NORMS)}; choose from {', '.join(NORMS)}")
        if positions not in POSITIONS:
            known = ", ".join(POSITIONS)
            raise UserError(f"`positions`={positions!r} is unknown{nearest(positions, POSITIONS)}; choose from {known}")
        self.max_len, self.width, self.time_bias = max_len, width, time_bias
        self.drop = Dropout(dropout)
        self.items, self.events = inputs.item_vectors(num_items, width), inputs.event_inputs(width)
        absolute = positions == "absolute"
        self.positions = nn.Embedding(max_len, width) if absolute else None
        kind = _PreNormBlock if norm == "pre" else _PostNormBlock
        shape = {"heads": heads, "expansion": expansion, "distances": 0 if absolute else max_len}
        self.blocks = nn.ModuleList(kind(width, dropout=dropout, times=time_bias, **shape) for _ in range(blocks))
        self.final_norm = nn.LayerNorm(width) if norm == "pre" else nn.Identity()
        self._initialise(init_std)

    @torch.no_grad()
    def _initialise(self, std: float) -> None:
        self.items.initialise(std)
        for module in layers_of(self):
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)
            elif isinstance(module, nn.Embedding):
                nn.init.normal_(module.weight, std=std)

    @property
    def item_table(self) -> Tensor:
        """[V+1, D]; row 0 is padding, always zero."""
        return self.items.table()

    @property
    def item_vectors(self) -> ItemVectors:
        """The module that computes the table, or any of its rows."""
        return self.items

    def encode(self, batch: SequenceBatch, adapt: Adapt | None = None) -> Tensor:
        """States after every position: [T, D], packed like the batch. Rows must not exceed `max_len`."""
        return self._states(batch, adapt, None)

    def _states(self, batch: SequenceBatch, adapt: Adapt | None, last: LastPositions | None) -> Tensor:
        """States after every position [T, D], or only after the last one of every row [B, D]."""
        layout = attention_layout(batch.offsets, batch.items_T.numel(), self.max_len, batch.host, self._parts())
        if self.time_bias:
            layout = replace(layout, elapsed=elapsed_buckets(layout.pad(batch.events[TIME][:, None])))
        vectors_TD = self.items(batch.items_T)
        if adapt is not None:
            vectors_TD = adapt("items", vectors_TD, batch.stratum_of_position())
        states_TD = vectors_TD * math.sqrt(self.width)
        if self.positions is not None:
            states_TD = states_TD + self.positions(_from_end(batch))
        if self.events is not None:
            states_TD = states_TD + self.events(batch)
        states_TD = self.drop(states_TD)
        *earlier, final = self.blocks
        for block in earlier:
            states_TD = block(states_TD, layout)
        states_ND: Tensor = self.final_norm(final(states_TD, layout, last))
        if adapt is None:
            return states_ND
        return adapt("state", states_ND, batch.stratum_of_position() if last is None else batch.stratum_B)

    def _parts(self) -> Sequence[int] | None:
        """Rows of every segment, where segments draw apart or have biases of attention to themselves."""
        segments = current()
        if segments is None or not (self.positions is None or self.time_bias or (self.drop.active and segments.one_by_one)):
            return None
        return segments.rows

    def final_states(self, batch: SequenceBatch, adapt: Adapt | None = None) -> Tensor:
        """States after the last position of every row: [B, D]; zero for an empty row."""
        if self.training:
            return last_states(partial(self.encode, adapt=adapt), batch, self.items.weight)
        return zero_for_empty(partial(self._last_states, adapt), batch, self.items.weight)

    def _last_states(self, adapt: Adapt | None, batch: SequenceBatch) -> Tensor:
        """The last block is computed where it is looked at; with many short rows that is most of what a block costs."""
        return self._states(batch, adapt, LastPositions.of(batch, batch.events[TIME] if self.time_bias else None))

    def scores(self, batch: SequenceBatch, adapt: Adapt | None = None) -> Tensor:
        """Scores after the last position of every row: [B, V+1], column 0 = -inf."""
        return all_scores(self.final_states(batch, adapt), self.item_table)

    def forward(self, batch: SequenceBatch) -> Tensor:
        """`encode`, so that wrappers which hook the forward pass (DDP) see it."""
        return self.encode(batch)


def _from_end(batch: SequenceBatch) -> Tensor:
    """Distance of every position from the last one of its row [T]."""
    last_B = batch.offsets[1:] - 1
    num_positions = batch.items_T.numel()
    last_T = torch.repeat_interleave(last_B, batch.lengths_B, output_size=num_positions)
    return last_T - torch.arange(num_positions, device=last_T.device)


class _Block(nn.Module):
    """Parts of a block; the two kinds differ in where the norms sit."""

    def __init__(self, width: int, *, heads: int, dropout: float, expansion: int, distances: int, times: bool) -> None:
        super().__init__()
        self.drop = Dropout(dropout)
        self.attention = CausalSelfAttention(width, heads=heads, dropout=dropout, distances=distances, times=times)
        self.attention_norm = nn.LayerNorm(width)
        self.up = nn.Linear(width, expansion * width)
        self.down = nn.Linear(expansion * width, width)
        self.feed_norm = nn.LayerNorm(width)

    def attend(self, states_TD: Tensor, layout: AttentionLayout, last: LastPositions | None) -> Tensor:
        attended_ND: Tensor = self.drop(self.attention(states_TD, layout, last))
        return attended_ND

    def feed(self, states_TD: Tensor) -> Tensor:
        fed_TD: Tensor = self.drop(self.down(self.drop(F.relu(self.up(states_TD)))))
        return fed_TD


class _PreNormBlock(_Block):
    def forward(self, states_TD: Tensor, layout: AttentionLayout, last: LastPositions | None = None) -> Tensor:
        attended_ND = self.attend(self.attention_norm(states_TD), layout, last)
        states_ND = _kept(states_TD, last) + attended_ND
        return states_ND + self.feed(self.feed_norm(states_ND))


class _PostNormBlock(_Block):
    def forward(self, states_TD: Tensor, layout: AttentionLayout, last: LastPositions | None = None) -> Tensor:
        states_ND = self.attention_norm(_kept(states_TD, last) + self.attend(states_TD, layout, last))
        normed: Tensor = self.feed_norm(states_ND + self.feed(states_ND))
        return normed


def _kept(states_TD: Tensor, last: LastPositions | None) -> Tensor:
    """All positions' states, or those of the last ones."""
    return states_TD if last is None else states_TD[last.place_B]
