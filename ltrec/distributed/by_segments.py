"""K gradients of a micro-batch from one forward and one backward pass (`ltrec.models.segments`); equal to those one by one.

The batch's rows are sorted by stratum, and the losses' sum, each divided by its own stratum's N_z, is back-propagated once. On
the CPU dropout draws the masks that every stratum would draw alone, so the numbers are those of `split` but for rounding. An
accelerator draws one mask for the whole micro-batch: other numbers, from the same distribution.

In several processes a rank holds K whole gradients until they are summed, where `split` holds two.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate

import torch
from torch import Tensor, nn

from ltrec.core.losses import ExampleLosses
from ltrec.core.rows.on_host import to_device
from ltrec.distributed.batches import MicroBatch, known_rows
from ltrec.distributed.sources import Losses
from ltrec.distributed.stores.flat import FlatStore
from ltrec.distributed.stores.protocol import Store
from ltrec.models.by_segment import BySegment
from ltrec.models.segments import SegmentDraws, Segments

Owner = Callable[[Sequence[nn.Parameter]], Sequence[int | None]]
"""Parameters -> the stratum that each belongs to; None for the trunk."""

SeedDropout = Callable[[MicroBatch, int], None]
"""(batch, stratum) -> torch's generator as it is when the stratum's rows are run alone."""


@dataclass(frozen=True, slots=True)
class SegmentedPass:
    """How one pass yields all gradients.

    Attributes:
        owner: of the parameters.
        seed: of dropout.
    """

    owner: Owner
    seed: SeedDropout


def can_segment(batch: MicroBatch) -> bool:
    """Whether its rows are sequences whose lengths the host knows, every position with a target."""
    return known_rows(batch) is not None and hasattr(batch, "stratum_of_position") and not getattr(batch, "has_gaps", False)


def one_by_one(device: torch.device) -> bool:
    """Whether a device does better to sum the strata one by one than all in one operation (`ltrec.models.segments`)."""
    return device.type == "cpu"


def add_by_segments(
    store: Store,
    losses: Losses,
    batch: MicroBatch,
    divisors: Callable[[], Tensor],
    segmented: SegmentedPass,
    scale: Callable[[Tensor], Tensor] | None,
) -> ExampleLosses | None:
    """Add the micro-batch's gradients to the rows of a store.

    Args:
        store: of the parameters.
        losses: runs the module.
        batch: with or without rows of no stratum.
        divisors: waits for N_z of every stratum, float64 [K]; called after the forward pass, so that the sum over ranks has time.
        segmented: whose its parameters are, and how dropout is seeded.
        scale: what an AMP scaler does to a loss.

    Returns:
        The losses, detached; None if this rank has no example.
    """
    known = known_rows(batch)
    assert known is not None and isinstance(store, FlatStore)
    order_B = known.stratum_B.argsort(stable=True)
    order_B = order_B[(known.stratum_B < 0).sum() :]
    sink = store.sink(segmented.owner(store.parameters))
    if not len(order_B) or not int(known.lengths_B[order_B].sum()):
        store.add_all(None)
        return None
    chosen, num_strata = batch.select(order_B), len(store.rows)
    draws = _draws(chosen, segmented.seed, num_strata) if one_by_one(store.parameters[0].device) else None
    with BySegment(_segments_of(chosen, sink, num_strata, draws)):
        example = losses(chosen, None)
        coefficient_K = to_device(divisors().reciprocal(), example.loss_N.device)
        loss = (coefficient_K.to(example.loss_N.dtype)[example.stratum_N] * example.loss_N).sum()
    store.add_all(loss if scale is None else scale(loss))
    return example.detach()


def _draws(batch: MicroBatch, seed: SeedDropout, num_strata: int) -> SegmentDraws:
    """A generator per stratum, as it would be if the stratum's rows were run alone."""
    known = known_rows(batch)
    assert known is not None
    generators = []
    for stratum in range(num_strata):
        seed(batch, stratum)
        generators.append(torch.Generator().set_state(torch.default_generator.get_state()))
    return SegmentDraws(torch.bincount(known.stratum_B, minlength=num_strata).tolist(), generators)


def _segments_of(batch: MicroBatch, sink: dict[int, Tensor], num_strata: int, draws: SegmentDraws | None) -> Segments:
    """Positions by stratum, of rows that are sorted by stratum."""
    known = known_rows(batch)
    assert known is not None
    _, *lengths = known.positions_of_strata(num_strata)
    borders = list(accumulate(lengths, initial=0))
    strata_T: Tensor = batch.stratum_of_position()  # type: ignore[attr-defined]  # `can_segment`
    return Segments(borders, strata_T, sink, draws, torch.bincount(known.stratum_B, minlength=num_strata).tolist())
