"""TouchedTable: the R of V+1 rows of an item table that a step uses, and their gradient as the optimiser reads it.

    open      ids of the step on all ranks -> a leaf [R, D] that replaces the table        bytes: ids
    passes    gradients of the leaf, by stratum or in one pass, any number of times                     bytes: R D, not V D
    publish   leaf's gradient -> the table's, which is zero everywhere else

The dense gradient is kept from step to step, and only its touched rows are written and zeroed, so the cost is that of the touched
rows. Code that reads it whole (a dense optimiser, the norm for clipping) finds the usual values; a row-wise optimiser gets the rows
(`ltrec.core.rows.touched`).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ltrec.core.columns import PAD
from ltrec.core.errors import UserError
from ltrec.core.rows.touched import compact, distinct, note_touched
from ltrec.distributed.collectives import Collectives
from ltrec.models.inputs import IdVectors
from ltrec.models.inputs.touched_rows import TouchedRows


class TouchedTable:
    """The touched rows of one table, step after step.

    Args:
        vectors: the table; gradients may reach it only through `IdVectors`.
        name: of its weight among the parameters of the module that is trained.

    Attributes:
        collectives: of all ranks; set before the first step.
    """

    def __init__(self, vectors: IdVectors, name: str) -> None:
        self.vectors, self.name = vectors, name
        self.collectives = Collectives()
        self._row_V: Tensor | None = None
        self._ids_R: Tensor | None = None
        self._dense: Tensor | None = None
        self._written_R: Tensor | None = None

    def join(self, collectives: Collectives) -> None:
        """Use these collectives, and start from rank 0's weights: DDP does not broadcast a table without a gradient."""
        self.collectives = collectives
        Collectives().broadcast(self.vectors.weight.detach()).wait()  # not counted: no step's message

    @property
    def is_open(self) -> bool:
        """Whether a step is in progress."""
        return self.vectors.touched is not None

    def is_exact(self, device: torch.device) -> bool:
        """Whether the leaf has exactly the distinct rows. On one accelerator it has as many as there are ids, the last of them
        unused: their number is not known to the host, which would have to wait."""
        return device.type == "cpu" or self.collectives.world.size > 1

    @property
    def leaf(self) -> nn.Parameter:
        """The step's rows, which replace the table's weight."""
        assert self.vectors.touched is not None
        return self.vectors.touched.vectors_RD

    def open(self, items: Tensor) -> None:
        """Begin a step. Every rank calls it.

        Args:
            items: int64 [N], all that this rank's losses will read in the step, repeated or not.
        """
        self.close()
        weight, ids_N = self.vectors.weight, nn.functional.pad(items, (1, 0), value=PAD)
        if self._row_V is None or self._row_V.device != weight.device:
            self._row_V = ids_N.new_full(weight.shape[:1], len(weight))
        if self.is_exact(weight.device):
            self._ids_R = ids_R = self.collectives.union(distinct(ids_N))
            self._row_V[ids_R] = torch.arange(ids_R.numel(), device=ids_R.device)
        else:
            self._ids_R, place_N = compact(ids_N)
            self._row_V[ids_N] = place_N
            ids_R = self._ids_R
        self.vectors.touched = TouchedRows(nn.Parameter(weight.detach()[ids_R]), self._row_V)

    def publish(self, *, average_over: int = 0) -> None:
        """End the step: the gradient of the leaf becomes that of the table; without one, the table has none.

        Args:
            average_over: W to average the gradients of W ranks; 0 if they are equal already.

        Raises:
            UserError: the table itself has a gradient, because the model reads its weight.
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
        """Restore the whole table, if it is replaced."""
        if self.is_open:
            assert self._row_V is not None and self._ids_R is not None
            self._row_V[self._ids_R] = len(self._row_V)
            self.vectors.touched = None
