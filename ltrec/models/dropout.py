"""Dropout whose random numbers cost little on the CPU.

The library draws one Bernoulli variable per element there, 8 ns each, serially: with full softmax a tenth of a training step, with
sampled softmax a fifth. Here one 64-bit draw serves eight elements, a byte each, four times faster. The share is thereby rounded
to a multiple of 1/256, and the scale is that of the rounded share, so that the expectation is exact.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ltrec.core.errors import UserError
from ltrec.models.backbones.config import MOST_DROPOUT
from ltrec.models.segments import drawn_apart


class Dropout(nn.Module):
    """Zero about `share` of the values in training and scale the others so that the expectation stays.

    Draws from torch's global generator of the values' device; by segment (`ltrec.models.segments`), from each segment's own.

    Raises:
        UserError: `share`, the model's dropout, is not between 0 and 1.
    """

    def __init__(self, share: float) -> None:
        super().__init__()
        if not 0 <= share <= MOST_DROPOUT:
            raise UserError(f"`dropout`={share} lies outside [0, {MOST_DROPOUT}]")
        self.share = share

    @property
    def active(self) -> bool:
        """Whether anything is dropped."""
        return self.training and round(self.share * 256) > 0

    def forward(self, values: Tensor, order: Tensor | None = None) -> Tensor:
        """The values, thinned in training; shape kept.

        Args:
            values: [N, ...].
            order: int64 [N], the place of every row among those that are drawn for by segment; None: its own.
        """
        dropped = round(self.share * 256)
        if not self.active:
            return values
        if values.device.type != "cpu":
            return F.dropout(values, self.share)
        drawn = _bytes_for(values)
        keep = (drawn if order is None else drawn[order]) >= dropped
        return values * keep.to(values.dtype).mul_(256 / (256 - dropped))


def _bytes_for(values: Tensor) -> Tensor:
    """A random byte for every value."""
    apart = drawn_apart()
    if apart is None:
        return _random_bytes([(values.numel(), None)]).view(values.shape)
    segments, draws = apart
    segments.check(len(values))
    width = values[0].numel() if len(values) else 0
    by_run = [((rows.stop - rows.start) * width, draws.generators[run]) for run, rows in segments.runs()]
    return _random_bytes(by_run).view(values.shape)


def _random_bytes(draws: Sequence[tuple[int, torch.Generator | None]]) -> Tensor:
    """So many from each generator, one after the other; None is torch's own."""
    words = [-(-count // 8) for count, _ in draws]
    drawn = torch.empty(sum(words), dtype=torch.int64)
    for part, (_, generator) in zip(drawn.split_with_sizes(words), draws, strict=True):
        part.random_(-(2**63), None, generator=generator)
    found = drawn.view(torch.uint8)
    if all(count % 8 == 0 for count, _ in draws):
        return found
    parts = found.split_with_sizes([8 * n for n in words])  # a last word has bytes to spare
    return torch.cat([part[:count] for part, (count, _) in zip(parts, draws, strict=True)])
