"""ShardedStore: K gradients where FSDP2 leaves them, in partitions. See `ltrec.distributed.stores.flat` for what a store is.

FSDP2 sums every backward pass over ranks by itself and leaves each rank its partitions. They are added to the stratum's row when
the next stratum has been computed, so accumulation over micro-batches costs no memory; the update is combined on the partitions and
needs no all-gather, because the optimiser's states are sharded too.

    add(z): backward -> reduce-scatter of the gradient, under way     |  the next add: its partitions -> rows[z]
    publish: rows -> .grad of this rank's partitions

A step holds K n / W numbers of rows and, while a reduce-scatter is under way, one more partition.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor, nn

from ltrec.distributed.collectives import Pending
from ltrec.distributed.fsdp2.sharded_module import ShardedModule, as_partition, local
from ltrec.distributed.stores.layout import lay_out


class ShardedStore:
    """A `Store` for parameters sharded by FSDP2.

    Args:
        sharded: the module.
        owner: parameter name -> the stratum whose plugin it belongs to; None for the trunk.
        num_strata: K.
    """

    def __init__(self, sharded: ShardedModule, owner: Callable[[str], int | None], num_strata: int) -> None:
        self.sharded = sharded
        partitions = [(name, nn.Parameter(local(p.detach()), p.requires_grad)) for name, p in sharded.parameters]
        place = {id(partition): i for i, (_, partition) in enumerate(partitions)}
        self.layout, ordered = lay_out(partitions, owner, num_strata, world_size=1)  # of this rank's partitions alone
        first = ordered[0]
        assert all(p.dtype == first.dtype and p.device == first.device for p in ordered), "one dtype, one device"
        self.rows = first.detach().new_zeros(num_strata, self.layout.size)
        self._views = [self.layout.views(row) for row in self.rows]
        self._order = [place[id(partition)] for partition in ordered]
        self._under_way: tuple[int, list[Tensor | None], Pending] | None = None

    @property
    def trunk(self) -> int:
        """Leading columns of `rows` that are trunk."""
        return self.layout.trunk

    @property
    def extra_bytes(self) -> int:
        """Bytes held beyond the gradient that any training holds."""
        return self.rows.nbytes + self.rows[:1].nbytes

    def open(self) -> None:
        """Forget the last step."""
        self.settle()  # of an accumulation that was abandoned
        self.rows.zero_()

    def add(self, stratum: int, loss: Tensor | None, *, retain_graph: bool) -> None:
        """Back-propagate and begin the sum over ranks; a rank without examples takes part with zeros."""
        partitions, pending = self.sharded.backward_aside(loss, retain_graph=retain_graph)
        self.settle()
        self._under_way = stratum, partitions, pending

    def settle(self) -> None:
        """Wait until `rows` hold everything."""
        if self._under_way is None:
            return
        stratum, partitions, pending = self._under_way
        self._under_way = None
        pending.wait()
        for place, view in zip(self._order, self._views[stratum], strict=True):
            if (partition := partitions[place]) is not None:
                view.add_(partition)

    def publish(self, plugin_weights_K: Sequence[float]) -> None:
        """Add the plugins to row 0 and make it the parameters' gradient."""
        self.layout.weigh_plugins(self.rows, plugin_weights_K, rank=0)
        for place, view in zip(self._order, self._views[0], strict=True):
            _, parameter = self.sharded.parameters[place]
            parameter.grad = as_partition(view, like=parameter)
        self.sharded.reshard()

    def discard(self) -> None:
        """Leave every parameter without a gradient."""
        self.sharded.clear()
        self.sharded.reshard()
