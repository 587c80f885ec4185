"""Item vectors with columns: id vector + sum of the embedded column values.

    e_v = id_v + sum_c g_c embed_c(value_c[v])        id_v = 0 for an item without training events

Values are buffers of the modules, which checkpoints leave out. Vectors are computed for the requested items; the table of all items
is computed in chunks, whose intermediate values are freed one by one if no gradient is needed. In evaluation (no gradient, module
in `eval`) the table is cached until a weight changes, and all vectors are read from it.

A frozen vector (text, image) is projected, and the id vector is a small learned difference to it.

With `id_dropout` p an item's id vector is zero with probability p in training, without rescaling (DropoutNet, Volkovs et al., NIPS
2017): columns then learn what ids would otherwise tell alone, such as popularity, and items without an id vector compete.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ltrec.core.columns import PAD
from ltrec.models.inputs.alone import alone
from ltrec.models.inputs.borrowed_ids import with_borrowed_ids
from ltrec.models.inputs.item_vectors import IdVectors
from ltrec.models.segments import Segments, current, drawn_by

CHUNK_ROWS = 1 << 16
"""Items of the table that are computed at a time."""


class ItemColumn(nn.Module):
    """One column of all items and the module that embeds it.

    Args:
        values: [V+1, ...] by item id.
        embed: values [N, ...] -> vectors [N, D].
    """

    values: Tensor

    def __init__(self, values: Tensor, embed: nn.Module) -> None:
        super().__init__()
        self.register_buffer("values", values, persistent=False)
        self.embed = embed

    def forward(self, items: Tensor | slice) -> Tensor:
        """Vectors [N, D] of items: ids [N], or a range, which copies no values."""
        return cast(Tensor, self.embed(self.values[items]))


class ColumnItems(nn.Module):
    """`ItemVectors` with columns.

    Args:
        num_items: V.
        width: D.
        columns: by name, at least one.
        trained: bool [V+1], items that have an id vector; None = all.
        id_dropout: share of items whose id vector is dropped in training, drawn anew in every call.
        id_neighbours: in evaluation items without an id vector have the mean of those of so many similar items; 0 = none.
        chunk: items of the table that are computed at a time.
    """

    has_id: Tensor | None

    def __init__(
        self,
        num_items: int,
        width: int,
        columns: Mapping[str, ItemColumn],
        *,
        trained: Tensor | None = None,
        id_dropout: float = 0.0,
        id_neighbours: int = 0,
        chunk: int = CHUNK_ROWS,
    ) -> None:
        super().__init__()
        self.num_items, self.width, self.chunk = num_items, width, chunk
        self.id_dropout, self.id_neighbours = id_dropout, id_neighbours
        self.ids = IdVectors(num_items, width)
        self.columns = nn.ModuleDict({f"of_{name}": column for name, column in columns.items()})
        all_have_ids = trained is None or bool(trained[1:].all())
        self.register_buffer("has_id", None if all_have_ids else trained, persistent=False)
        self._kept: tuple[Any, Tensor] | None = None

    @property
    def weight(self) -> Tensor:
        """The id vectors [V+1, D]."""
        return self.ids.weight

    def initialise(self, std: float) -> None:
        """Initialise the id vectors; the columns' modules initialise themselves."""
        self.ids.initialise(std)

    def forward(self, items: Tensor) -> Tensor:
        """Vectors [..., D]; zero for padding."""
        if (segments := current()) is not None:
            return self._by_segment(segments, items)
        if self._may_keep() or self._borrows_ids():
            return F.embedding(items, self.table())
        if items.numel() > self.num_items and self.ids.in_touch is None:
            # all items in one call, as below, because ranks may take different branches
            return F.embedding(items, F.pad(self._vectors(slice(1, self.num_items + 1)), (0, 0, 1, 0)))
        flat_N = items.flatten()
        vectors_ND = self._vectors(flat_N).masked_fill((flat_N == PAD)[:, None], 0.0)
        return vectors_ND.view(*items.shape, self.width)

    def _by_segment(self, segments: Segments, items: Tensor) -> Tensor:
        """The same for items of every position [T, ...]."""
        segments.check(len(items))
        parts = []
        for number, run in segments.runs():
            with drawn_by(number), alone(number, self):
                parts.append(self(items[run]))
        return torch.cat(parts)

    def table(self) -> Tensor:
        """[V+1, D]; row 0 is zero. In evaluation it is cached until a weight changes."""
        if not self._may_keep():
            return self._table()
        key = tuple((t.data_ptr(), t._version, t.dtype) for t in self.parameters())
        if self._kept is None or self._kept[0] != key:
            self._kept = key, self._table()
        return self._kept[1]

    def train(self, mode: bool = True) -> ColumnItems:
        """Drop the cached table when the module changes between evaluation and training."""
        self._kept = None
        return super().train(mode)

    def _may_keep(self) -> bool:
        return not self.training and not torch.is_grad_enabled()

    def _borrows_ids(self) -> bool:
        return self.id_neighbours > 0 and not self.training and self.has_id is not None

    def _table(self) -> Tensor:
        stop = self.num_items + 1
        parts = [self._vectors(slice(start, min(start + self.chunk, stop))) for start in range(1, stop, self.chunk)]
        table_VD = torch.cat([parts[0].new_zeros(1, self.width), *parts])
        if not self._borrows_ids():
            return table_VD
        assert self.has_id is not None
        return with_borrowed_ids(table_VD, self.ids.table(), self.has_id, self.id_neighbours)

    def _vectors(self, items: Tensor | slice) -> Tensor:
        """Vectors of ids [N], or of a range; padding is not treated specially."""
        sum_ND = self.ids.rows(items)
        if self.has_id is not None:
            sum_ND = sum_ND.masked_fill(~self.has_id[items][:, None], 0.0)
        if self.training and self.id_dropout:
            gone_N = torch.rand(len(sum_ND), device=sum_ND.device) < self.id_dropout
            sum_ND = sum_ND.masked_fill(gone_N[:, None], 0.0)
        for column in self.columns.values():
            sum_ND = sum_ND + column(items)
        return sum_ND
