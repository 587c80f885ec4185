"""Gradient sources: how one micro-batch yields a loss per stratum.

split      each stratum's rows are run forward alone: together the work of one pass, activations freed stratum by stratum.
           Right as long as no row's loss depends on another row.
retained   one forward pass of the whole micro-batch, then one backward pass per stratum through the same graph. For losses that
           couple rows (in-batch negatives): (1 + 2 K) units of work instead of 3.

segments   one forward and one backward pass, in which weight gradients are computed by stratum (`by_segments`): as many kernels as
           one pass, nearly. For models whose layers treat every position alike; batches that it cannot do are split.

All are checked against a naive K-backward reference in the tests.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from ltrec.core.losses import ExampleLosses
from ltrec.distributed.batches import MicroBatch, strata_on_host

Losses = Callable[[MicroBatch, int | None], ExampleLosses]
"""(batch, stratum or None for a whole micro-batch) -> its example losses."""

GradientSource = Callable[[Losses, MicroBatch, Sequence[int]], Iterator[tuple[int, Tensor | None, bool]]]
"""Yields (stratum, its losses [n] or None when this rank has none, whether the graph is needed again) per requested stratum."""


def split(losses: Losses, batch: MicroBatch, strata: Sequence[int]) -> Iterator[tuple[int, Tensor | None, bool]]:
    """Run each stratum's rows alone."""
    stratum_B = strata_on_host(batch)
    rows = torch.bincount(stratum_B + 1, minlength=max(strata, default=0) + 2).tolist()  # the first: rows of no stratum
    parts = batch.select(stratum_B.argsort(stable=True)).split(rows)
    for stratum in strata:
        part = parts[stratum + 1]
        yield stratum, losses(part, stratum).loss_N if part.num_rows else None, False


def retained(losses: Losses, batch: MicroBatch, strata: Sequence[int]) -> Iterator[tuple[int, Tensor | None, bool]]:
    """Run the whole micro-batch once and keep its graph until the last stratum."""
    whole = losses(batch, None)
    for stratum in strata:
        own = whole.loss_N[whole.stratum_N == stratum]
        yield stratum, own if own.numel() else None, stratum != strata[-1]


SOURCES: dict[str, GradientSource] = {"split": split, "retained": retained, "segments": split}
"""name -> gradient source."""
