"""What ranks say of themselves, and the first thing on which they do not agree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

Statement = Mapping[str, str]
"""Values of a rank by name, in an order that is the same on every rank."""


def first_difference(statements: Sequence[Statement]) -> str | None:
    """One clause about the first name on which not all ranks agree; None when they do. `statements` is in rank order."""
    for name in dict.fromkeys(name for held in statements for name in held):
        ranks: dict[str, list[int]] = {}
        for rank, held in enumerate(statements):
            ranks.setdefault(held.get(name, "absent"), []).append(rank)
        if len(ranks) > 1:
            values = " and ".join(f"{value} on {_ranks(those)}" for value, those in ranks.items())
            more = sum(len({held.get(other) for held in statements}) > 1 for other in statements[0]) - 1
            return f"{name} is {values}" + (f", and {more} more differ" if more > 0 else "")
    return None


def _ranks(ranks: Sequence[int]) -> str:
    """``rank 1``, ``ranks 0, 2, 3``, and of many only the first."""
    shown = ", ".join(map(str, ranks[:8])) + (f" and {len(ranks) - 8} more" if len(ranks) > 8 else "")
    return f"rank {shown}" if len(ranks) == 1 else f"ranks {shown}"
