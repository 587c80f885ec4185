"""The interface of stores, which keep the gradients of the strata."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor


class Store(Protocol):
    """K gradients of one step, wherever they are stored. `rows` is [K, columns of this rank], trunk columns first."""

    rows: Tensor

    @property
    def trunk(self) -> int:
        """Leading columns of `rows` that are trunk."""

    def open(self) -> None:
        """Forget the last step."""

    def add(self, stratum: int, loss: Tensor | None, *, retain_graph: bool) -> None:
        """Add the gradient of `loss`, summed over ranks, to the stratum's row. All ranks call it for the same strata in one order.

        Args:
            stratum: z.
            loss: scalar with a graph; None where this rank holds no example of the stratum.
            retain_graph: whether the graph is needed again.
        """

    def settle(self) -> None:
        """Wait until `rows` hold everything."""

    def publish(self, plugin_weights_K: Sequence[float]) -> None:
        """Set every parameter's gradient: what is in row 0 on the trunk, its own stratum's row by weight on a plugin."""

    def discard(self) -> None:
        """Leave every parameter without a gradient: the optimiser then passes it by."""
