"""K gradients between their backward passes and the one update: one row per stratum, each rank with 1/W of every row.

A stratum's gradient is written into a flat buffer, summed over ranks by a reduce-scatter while the next stratum computes, and stays
as a row of [K, n / W]. Two buffers take turns; one of them holds the combined gradient in the end, as DDP's would. So what a
step needs beyond an ordinary gradient is one buffer and the rows: n + K n / W numbers.

    add(0): buffer A -> rows[0]   ||   add(1): buffer B -> rows[1]   ||   add(2): buffer A -> rows[2] ...
    combine: rows -> this rank's partition of the update -> all-gather -> parameters' .grad

Micro-batches accumulate without more memory: before the reduce-scatter each rank adds its old row to its own part of the buffer.

If a table takes part only with touched rows, the layout is computed for every step (`relay`): buffers, rows and messages then have
the length of the touched rows, in memory that only grows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from ltrec.distributed.collectives import DONE, Collectives, Pending
from ltrec.distributed.stores.layout import FlatLayout

Relay = Callable[[], tuple[FlatLayout, Sequence[nn.Parameter]]]
"""Returns the layout of a step's parameters, and the parameters in that order."""


class FlatStore:
    """A `Store` for replicated parameters: a single device, or DDP without its wrapper.

    Args:
        parameters: all trainable parameters, in the order of the layout.
        layout: their places.
        collectives: W ranks.
        num_strata: K.
        aside: compute gradients with `torch.autograd.grad`, leaving every `.grad` and every hook of a wrapper alone. Costs one more
            gradient for a moment; without it autograd writes straight into the buffers.
        relay: lays out the parameters of the step that begins; None: always as at first.
    """

    def __init__(
        self,
        parameters: Sequence[nn.Parameter],
        layout: FlatLayout,
        collectives: Collectives,
        num_strata: int,
        *,
        aside: bool = False,
        relay: Relay | None = None,
    ) -> None:
        self.collectives = collectives
        self.aside = aside
        self._relay = relay
        count = 0 if collectives.world.size == 1 else (1 if aside else 2)
        self._memory = [parameters[0].detach().new_zeros(0) for _ in range(count + 1)]  # of the rows, then of the buffers
        self._free: list[Pending] = [DONE] * count
        self._row_done: list[Pending] = [DONE] * num_strata
        self._apart = parameters[0].detach().new_zeros(0)  # K whole gradients, for `sink` in several processes
        self._turn = 0
        self._unwritten: set[int] = set()
        self._lay(layout, parameters)

    def _lay(self, layout: FlatLayout, parameters: Sequence[nn.Parameter]) -> None:
        """Assign every parameter its place in rows and buffers, whose contents are dropped."""
        first = parameters[0]
        assert all(p.dtype == first.dtype and p.device == first.device for p in parameters), "one dtype, one device"
        self.parameters, self.layout = list(parameters), layout
        num_strata = len(self._row_done)
        self.rows = self._room(0, num_strata * layout.partition_size).view(num_strata, layout.partition_size)
        self._buffers = [self._room(number, layout.size) for number in range(1, len(self._memory))]
        self._views: dict[int, list[Tensor]] = {}

    def _views_of(self, number: int) -> list[Tensor]:
        """The parameters' places in a buffer, or in a row where there are no buffers. Made when first needed."""
        if number not in self._views:
            self._views[number] = self.layout.views((self._buffers or self.rows)[number])
        return self._views[number]

    def _room(self, number: int, size: int) -> Tensor:
        """The first numbers of a buffer, which is enlarged if it is too small."""
        if self._memory[number].numel() < size:
            self._memory[number] = self._memory[number].new_zeros(size)
        return self._memory[number][:size]

    @property
    def trunk(self) -> int:
        """Leading columns of `rows` that are trunk."""
        return self.layout.trunk_of_partition(self.collectives.world.rank)

    @property
    def extra_bytes(self) -> int:
        """Bytes held beyond the gradient that any training holds."""
        return self.rows.nbytes + self._apart.nbytes + sum(b.nbytes for b in self._buffers[(0 if self.aside else 1) :])

    def open(self) -> None:
        """Forget the last step. What its rows held is overwritten by the first that is added, or zeroed by `settle`."""
        if self._relay is not None:
            self._wait()  # for an accumulation that was abandoned
            self._lay(*self._relay())
        self._unwritten = set(range(len(self.rows)))

    def add(self, stratum: int, loss: Tensor | None, *, retain_graph: bool) -> None:
        """Compute the gradient in a buffer and begin its reduce-scatter; in a single process, in the row itself."""
        first = stratum in self._unwritten
        self._unwritten.discard(stratum)
        if not self._buffers:
            if first:
                self.rows[stratum].zero_()
            self._compute(self._views_of(stratum), loss, retain_graph)
            return
        turn, self._turn = self._turn, (self._turn + 1) % len(self._buffers)
        buffer, row = self._buffers[turn], self.rows[stratum]
        self._free[turn].wait()
        self._row_done[stratum].wait()
        buffer.zero_()
        self._compute(self._views_of(turn), loss, retain_graph)
        if not first:
            rank, size = self.collectives.world.rank, self.layout.partition_size
            buffer[rank * size : (rank + 1) * size].add_(row)
        self._free[turn] = self._row_done[stratum] = self.collectives.reduce_scatter(row, buffer)

    def _compute(self, views: Sequence[Tensor], loss: Tensor | None, retain_graph: bool) -> None:
        """Add the gradient of `loss` to the flat vector behind `views`."""
        if loss is None:
            return
        if self.aside:
            found = torch.autograd.grad(loss, self.parameters, retain_graph=retain_graph, allow_unused=True)
            for view, gradient in zip(views, found, strict=True):
                if gradient is not None:
                    view.add_(gradient)
            return
        self._point(views)
        loss.backward(retain_graph=retain_graph)  # type: ignore[no-untyped-call]
        self.discard()

    def _point(self, views: Sequence[Tensor]) -> None:
        for parameter, view in zip(self.parameters, views, strict=True):
            parameter.grad = view

    def sink(self, owner: Sequence[int | None]) -> dict[int, Tensor]:
        """Where one pass puts K gradients at once: id of a trunk parameter -> [K, *shape]. A plugin's gradient, which is of its own
        stratum alone, is pointed there. The rows begin with what they held: zeros, or earlier micro-batches.

        Args:
            owner: of every parameter of the layout, in its order; None for the trunk.
        """
        self._wait()
        whole_KN = self.rows
        if self._buffers:  # each rank's own, summed by `add_all`
            if self._apart.numel() < len(self.rows) * self.layout.size:
                self._apart = self.rows.new_empty(len(self.rows) * self.layout.size)
            whole_KN = self._apart[: len(self.rows) * self.layout.size].view(len(self.rows), -1)
            whole_KN.zero_()
        elif self._unwritten:
            self.settle()
        sink = {}
        bounds = zip(self.parameters, owner, self.layout.offsets, self.layout.offsets[1:], strict=False)
        for parameter, stratum, start, stop in bounds:
            if stratum is None:
                sink[id(parameter)] = whole_KN[:, start:stop].view(len(whole_KN), *parameter.shape)
            else:
                parameter.grad = whole_KN[stratum, start:stop].view(parameter.shape)
        return sink

    def add_all(self, loss: Tensor | None) -> None:
        """Compute what a pass under `sink` left to compute, and begin the sums over ranks."""
        if loss is not None:
            loss.backward()  # type: ignore[no-untyped-call]
        self.discard()
        if not self._buffers:
            return
        whole_KN = self._apart[: len(self.rows) * self.layout.size].view(len(self.rows), -1)
        rank, size = self.collectives.world.rank, self.layout.partition_size
        for stratum, (row, whole) in enumerate(zip(self.rows, whole_KN, strict=True)):
            if stratum not in self._unwritten:
                whole[rank * size : (rank + 1) * size].add_(row)
            self._unwritten.discard(stratum)
            self._row_done[stratum] = self.collectives.reduce_scatter(row, whole)

    def settle(self) -> None:
        """Wait until `rows` hold everything."""
        self._wait()
        for stratum in self._unwritten:
            self.rows[stratum].zero_()
        self._unwritten.clear()

    def _wait(self) -> None:
        for pending in self._row_done:
            pending.wait()
        self._row_done = [DONE] * len(self._row_done)
        self._free = [DONE] * len(self._free)

    def publish(self, plugin_weights_K: Sequence[float]) -> None:
        """Add the plugins to row 0, gather it, and make it the parameters' gradient."""
        self.layout.weigh_plugins(self.rows, plugin_weights_K, self.collectives.world.rank)
        if self._buffers:
            self.collectives.all_gather(self._buffers[0], self.rows[0]).wait()
        self._point(self._views_of(0))

    def discard(self) -> None:
        """Leave every parameter without a gradient."""
        for parameter in self.parameters:
            parameter.grad = None
