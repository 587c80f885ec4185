"""GRU4Rec: a recurrent network over the sequence (Hidasi et al., ICLR 2016; Hidasi & Karatzoglou, CIKM 2018), without padding.

    items_T -> item vector -> GRU layers -> dense to the width -> states_TD
    score(item) = <state, item vector>          the same table at both ends

    r = sigmoid(W_r x + U_r h)   z = sigmoid(W_z x + U_z h)   n = tanh(W_n x + b_n + r * (U_n h + c_n))   h' = (1 - z) n + z h

(biases of r and z left out above). The papers train on sessions side by side and carry the state over; here a row starts from zero
and is read whole, so that every position of it is an example, as with the other backbones. The dense layer lets the state be wider
than the item vectors. Dropout acts on the item vectors and after every layer.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from ltrec.core.batch import SequenceBatch
from ltrec.models.backbones.protocol import Adapt
from ltrec.models.dropout import Dropout
from ltrec.models.inputs import NO_INPUTS, Inputs, ItemVectors
from ltrec.models.packing import TimeLayout, cells_of_parts, time_layout
from ltrec.models.recurrence import recur
from ltrec.models.scoring import all_scores, last_states
from ltrec.models.segments import current, drawn_apart


class GRU4Rec(nn.Module):
    """An Encoder; see `ltrec.models.backbones.protocol`.

    Initial values: item vectors normal with `init_std`, every gate's matrix and the dense layer Xavier-uniform, biases 0. No layer
    couples rows.

    Args:
        num_items: V; ids run from 1 to V, 0 is padding.
        max_len: longest row that can be encoded.
        inputs: what is known besides ids.
        width, hidden, layers, dropout, init_std: see `GRU4RecConfig`.

    Raises:
        UserError: `dropout` is not between 0 and 1.
    """

    places = ("items", "state")
    segments_obstacle = None
    splits_on = ("accelerator",)  # whose library runs a stratum's times in one call, and sums the weights' gradients itself

    def __init__(
        self,
        num_items: int,
        max_len: int,
        inputs: Inputs = NO_INPUTS,
        *,
        width: int = 64,
        hidden: int = 128,
        layers: int = 1,
        dropout: float = 0.3,
        init_std: float = 0.02,
    ) -> None:
        super().__init__()
        self.max_len, self.width = max_len, width
        self.drop = Dropout(dropout)
        self.items, self.events = inputs.item_vectors(num_items, width), inputs.event_inputs(width)
        self.layers = nn.ModuleList(_Layer(width if first else hidden, hidden) for first in [True] + [False] * (layers - 1))
        self.dense = nn.Linear(hidden, width)
        self._initialise(init_std)

    @torch.no_grad()
    def _initialise(self, std: float) -> None:
        self.items.initialise(std)
        gates = [gate for p in self.layers.parameters() if p.dim() == 2 for gate in p.chunk(3)]
        for matrix in (*gates, self.dense.weight):
            nn.init.xavier_uniform_(matrix)
        for bias in (p for p in (*self.layers.parameters(), self.dense.bias) if p.dim() == 1):
            bias.zero_()

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
        layout = time_layout(batch.offsets, batch.items_T.numel(), self.max_len, batch.host)
        vectors_TD = self.items(batch.items_T)
        if adapt is not None:
            vectors_TD = adapt("items", vectors_TD, batch.stratum_of_position())
        if self.events is not None:
            vectors_TD = vectors_TD + self.events(batch)
        apart = drawn_apart() if self.drop.active else None
        draws_S = None if apart is None else cells_of_parts(batch.offsets, layout, apart[1].rows)
        hidden = layout.by_time(self.drop(vectors_TD))
        for layer in self.layers:
            hidden = layer(hidden, layout)
            hidden = hidden._replace(data=self.drop(hidden.data, draws_S))
        states_TD: Tensor = self.dense(layout.by_row(hidden))
        return states_TD if adapt is None else adapt("state", states_TD, batch.stratum_of_position())

    def final_states(self, batch: SequenceBatch, adapt: Adapt | None = None) -> Tensor:
        """States after the last position of every row: [B, D]; zero for an empty row."""
        return last_states(partial(self.encode, adapt=adapt), batch, self.items.weight)

    def scores(self, batch: SequenceBatch, adapt: Adapt | None = None) -> Tensor:
        """Scores after the last position of every row: [B, V+1], column 0 = -inf."""
        return all_scores(self.final_states(batch, adapt), self.item_table)

    def forward(self, batch: SequenceBatch) -> Tensor:
        """`encode`, so that wrappers which hook the forward pass (DDP) see it."""
        return self.encode(batch)


class _Layer(nn.GRU):
    """A GRU layer from zero states over rows by time."""

    def forward(self, sequence: PackedSequence, layout: TimeLayout) -> PackedSequence:  # type: ignore[override]
        """The states [S, H] at every time, in the sequence's own order."""
        if sequence.data.device.type != "cpu" and current() is None:
            return super().forward(sequence)[0]
        return sequence._replace(data=recur(sequence.data, tuple(self.parameters()), layout))
