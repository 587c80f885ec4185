"""TouchedTable: one step's part of an item table, R rows of V+1, and the way back into what the optimiser reads.

    open      ids of the step, of all ranks together -> a leaf [R, D] in the table's place        bytes: ids
    passes    gradients of the leaf, by stratum or in one pass, however often                     bytes: R D, not V D
    publish   leaf's gradient -> the table's, which is zero everywhere else

The dense gradient is kept from step to step and only its touched rows are written and wiped, so that neither costs more than was
touched. What reads it whole (a dense optimiser, the norm for clipping) finds the same numbers as ever; a row-wise optimiser is told
the rows (`ltrec.core.touched`).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ltrec.core.columns import PAD
from ltrec.core.errors import UserError
from ltrec.core.touched import distinct, note_touched
from ltrec.distributed.collectives import Collectives
from ltrec.models.inputs import IdVectors
from ltrec.models.inputs.touched_rows import TouchedRows


class TouchedTable:
    """The touched rows of one table, step after step.

    Args:
        vectors: the table; no gradient may reach it but through `IdVectors` itself.
        name: of its weight among the parameters of the module that is trained.

    Attributes:
        collectives: of the ranks, where there are several; set before the first step.
    """

    def __init__(self, vectors: IdVectors, name: str) -> None:
        self.vectors, self.name = vectors, name
        self.collectives = Collectives()
        self._row_V: Tensor | None = None
        self._ids_R: Tensor | None = None
        self._dense: Tensor | None = None
        self._written_R: Tensor | None = None

    def join(self, collectives: Collectives) -> None:
        """Share these collectives, and begin with rank 0's weights: no wrapper sees to a table that gets no gradient of its own."""
        self.collectives = collectives
        collectives.broadcast(self.vectors.weight.detach()).wait()

    @property
    def is_open(self) -> bool:
        """Whether a step is under way."""
        return self.vectors.touched is not None

    @property
    def leaf(self) -> nn.Parameter:
        """The step's rows, in the place of the table's weight."""
        assert self.vectors.touched is not None
        return self.vectors.touched.vectors_RD

    def open(self, items: Tensor) -> None:
        """Begin a step. Every rank calls it.

        Args:
            items: int64 [N], all that this rank's losses will read in the step, repeated or not.
        """
        self.close()
        weight = self.vectors.weight
        ids_R = self.collectives.union(distinct(torch.cat([items.new_tensor([PAD]), items])))
        if self._row_V is None or self._row_V.device != weight.device:
            self._row_V = ids_R.new_full(weight.shape[:1], len(weight))
        self._row_V[ids_R] = torch.arange(ids_R.numel(), device=ids_R.device)
        self._ids_R = ids_R
        self.vectors.touched = TouchedRows(nn.Parameter(weight.detach()[ids_R]), self._row_V)

    def publish(self, *, average_over: int = 0) -> None:
        """End the step: the leaf's gradient becomes the table's; none leaves it none.

        Args:
            average_over: W where each rank has its own gradient, of which the mean is wanted; 0 where they are one already.

        Raises:
            UserError: a gradient has gone past them, as of a model that reads the weight itself.
        """
        gradient, weight = self.leaf.grad, self.vectors.weight
        if weight.grad is not None:
            raise UserError(f"a loss reads {self.name} itself and not its touched rows; train it with gradients of all rows")
        if gradient is not None:
            if average_over > 1:
                self.collectives.all_reduce(gradient).wait()
                gradient /= average_over
            weight.grad = self._scattered(gradient)
            note_touched(weight, self._ids_R)
        self.close()

    def _scattered(self, gradient_RD: Tensor) -> Tensor:
        """The whole table's gradient [V+1, D]."""
        if self._dense is None or self._dense.device != gradient_RD.device:
            self._dense, self._written_R = torch.zeros_like(self.vectors.weight.detach()), None
        if self._written_R is not None:
            self._dense.index_fill_(0, self._written_R, 0.0)
        assert self._ids_R is not None
        self._written_R = self._ids_R
        return self._dense.index_copy_(0, self._ids_R, gradient_RD)

    def close(self) -> None:
        """Put the whole table back in its place; nothing if it is there."""
        if self.is_open:
            assert self._row_V is not None and self._ids_R is not None
            self._row_V[self._ids_R] = len(self._row_V)
            self.vectors.touched = None
