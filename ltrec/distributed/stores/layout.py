"""FlatLayout: where every parameter's gradient lies in one flat vector.

    | trunk parameters, in their order | plugins of stratum 0 | plugins of stratum 1 | ... | padding |
      0 ............................. trunk                                          used        size = multiple of W

Rank r owns the r-th of W equal parts. Everything that must tell trunk from plugin is then a question about intervals.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate

import torch
from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class FlatLayout:
    """Offsets of parameters in a flat vector.

    Attributes:
        shapes: shape of each parameter, in the order of the vector.
        offsets: first element of each parameter; one more entry for the end.
        plugins: half-open interval of each stratum's plugin parameters; empty if it has none.
        trunk: elements that all strata share; they come first.
        size: length of the vector, a multiple of `world_size`.
        world_size: W, the number of equal partitions.
    """

    shapes: tuple[torch.Size, ...]
    offsets: tuple[int, ...]
    plugins: tuple[tuple[int, int], ...]
    trunk: int
    size: int
    world_size: int

    @property
    def partition_size(self) -> int:
        """Elements per rank."""
        return self.size // self.world_size

    def views(self, flat: Tensor) -> list[Tensor]:
        """One view of `flat` [size] per parameter, with its shape."""
        return [flat[a:b].view(s) for a, b, s in zip(self.offsets, self.offsets[1:], self.shapes, strict=False)]

    def trunk_of_partition(self, rank: int) -> int:
        """How many leading elements of a rank's partition are trunk."""
        return min(max(self.trunk - rank * self.partition_size, 0), self.partition_size)

    def plugin_of_partition(self, rank: int, stratum: int) -> slice:
        """The part of a rank's partition that holds one stratum's plugin parameters; may be empty."""
        low = rank * self.partition_size
        start, stop = (min(max(bound - low, 0), self.partition_size) for bound in self.plugins[stratum])
        return slice(start, stop)

    def weigh_plugins(self, rows_KN: Tensor, weights_K: Sequence[float], rank: int) -> None:
        """Write each stratum's plugin columns, weighted, from its own row of a rank's partitions into row 0."""
        for stratum, weight in enumerate(weights_K):
            own = self.plugin_of_partition(rank, stratum)
            rows_KN[0, own] = weight * rows_KN[stratum, own]


def lay_out(
    parameters: Sequence[tuple[str, nn.Parameter]], owner: Callable[[str], int | None], num_strata: int, world_size: int
) -> tuple[FlatLayout, list[nn.Parameter]]:
    """The layout of all trainable parameters, and these in its order.

    Args:
        parameters: named parameters; tied ones once, frozen ones are left out.
        owner: name -> the stratum whose plugin it belongs to; None for the trunk.
        num_strata: K.
        world_size: W.
    """
    groups: list[list[nn.Parameter]] = [[] for _ in range(num_strata + 1)]
    for name, parameter in parameters:
        if parameter.requires_grad:
            stratum = owner(name)
            groups[0 if stratum is None else stratum + 1].append(parameter)
    ordered = [parameter for group in groups for parameter in group]
    ends = list(accumulate((p.numel() for p in ordered), initial=0))
    bounds = list(accumulate((sum(p.numel() for p in group) for group in groups), initial=0))
    layout = FlatLayout(
        shapes=tuple(p.shape for p in ordered),
        offsets=tuple(ends),
        plugins=tuple((bounds[z + 1], bounds[z + 2]) for z in range(num_strata)),
        trunk=bounds[1],
        size=-(-ends[-1] // world_size) * world_size,
        world_size=world_size,
    )
    return layout, ordered
