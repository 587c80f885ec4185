"""The world as a value, so that rank arithmetic can be tested for 64 ranks in a `for` loop.

Nothing below the composition root reads ranks from the environment; it gets a `World`.
"""

from __future__ import annotations

from dataclasses import dataclass

from ltrec.core.errors import UserError


@dataclass(frozen=True, slots=True)
class World:
    """This process is number `rank` of `size`."""

    rank: int = 0
    size: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.rank < self.size:
            raise UserError(f"rank {self.rank} does not exist in a world of {self.size}")

    def share(self, total: int, what: str) -> range:
        """This rank's contiguous share of `total` equal parts.

        Raises:
            UserError: when the world size does not divide `total`.
        """
        if total % self.size:
            allowed = ", ".join(str(w) for w in range(1, total + 1) if total % w == 0)
            raise UserError(f"{self.size} processes do not divide {total} {what}; allowed: {allowed}")
        part = total // self.size
        return range(self.rank * part, (self.rank + 1) * part)
