"""The FlatStore of a module that every rank holds whole; of a table with touched rows, it stores only these rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import nn

from ltrec.distributed.collectives import Collectives
from ltrec.distributed.stores.flat import FlatStore
from ltrec.distributed.stores.layout import FlatLayout, lay_out
from ltrec.distributed.touched_table import TouchedTable


def make_flat_store(
    module: nn.Module,
    owner: Callable[[str], int | None],
    num_strata: int,
    collectives: Collectives,
    *,
    aside: bool,
    touched: TouchedTable | None,
) -> FlatStore:
    """A store of all trainable parameters of a module.

    Args:
        module: of the parameters.
        owner: parameter name -> the stratum whose plugin it belongs to; None for the trunk.
        num_strata: K.
        collectives: W ranks.
        aside: see `FlatStore`.
        touched: the table with touched rows, if any; it is open whenever the store is.
    """
    named, size = dict(module.named_parameters()), collectives.world.size
    if touched is not None:
        del named[touched.name]
    layout, ordered = lay_out(list(named.items()), owner, num_strata, size)

    def relay() -> tuple[FlatLayout, Sequence[nn.Parameter]]:
        assert touched is not None
        return lay_out([*named.items(), (touched.name, touched.leaf)], owner, num_strata, size)

    return FlatStore(ordered, layout, collectives, num_strata, aside=aside, relay=None if touched is None else relay)
