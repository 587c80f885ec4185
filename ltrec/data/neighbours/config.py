"""How neighbours are counted: by transitions, or by common users. The defaults for transitions were chosen on the validation split
of one log."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from ltrec.core.bounds import SHARE, Between, check_fields

SOURCES = 100


@dataclass(frozen=True, slots=True)
class NeighboursConfig:
    """Options of counting.

        F[i, j] = sum over users and gaps g of gap_decay^(g-1), where j follows i by g <= max_gap events
        M       = F + backward_share F^T, without the diagonal
        weight  = M[i, j] / (rowsum_i^row_power colsum_j^column_power), with the sums of M
        with ridge: B[i, j] / colsum_j^column_power, B the regression's weights

    Raises:
        ValueError: a value out of range.
    """

    max_gap: Annotated[int, Between(1, 200)] = 20
    """Largest gap in events; 1 = only the next event."""

    gap_decay: Annotated[float, SHARE] = 0.8
    """Factor on the weight of a pair for every further event of gap."""

    backward_share: Annotated[float, SHARE] = 0.5
    """Weight of a pair in the reverse direction: 0 = only later items are neighbours, 1 = order does not matter."""

    row_power: Annotated[float, SHARE] = 0.5
    """Exponent of the item's own sum: 0 = popular items have larger weights, 1 = all items have the same total weight."""

    column_power: Annotated[float, SHARE] = 0.15
    """Exponent of the neighbour's sum: the higher it is, the rarer the neighbours are."""

    neighbours: Annotated[int, Between(1, 1000)] = 20
    """Number of neighbours kept per item, those with the largest weights."""

    ridge: Annotated[float, Between(0, 1e9)] = 0.0
    """0 = the weights are counts. Above: they are those of a ridge regression of an item on those before it (`regression.py`), and
    this is how many events every item has besides its own, which predict nothing. `row_power` has no effect then."""

    sources: Annotated[int, Between(1, 1000)] = SOURCES
    """With ridge: most items that an item is regressed on."""

    def __post_init__(self) -> None:
        check_fields(self)
        if not self.ridge and self.sources != SOURCES:
            raise ValueError(f"sources={self.sources} has no effect with ridge=0; leave it out, or set ridge")


@dataclass(frozen=True, slots=True)
class ContentConfig:
    """Options of finding items that are alike by their columns (`content.py`).

    Raises:
        ValueError: a value out of range.
    """

    columns: tuple[str, ...] = ()
    """Categorical item columns that are compared; `[all]` = every one that the data set has; empty = none."""

    power: Annotated[float, Between(0, 100, above=True)] = 2.0
    """Exponent of the cosine; larger values favour the most similar items."""

    neighbours: Annotated[int, Between(1, 1000)] = 50
    """Kept per item, the most similar ones."""

    most_holders: Annotated[int, Between(1, 1 << 24)] = 10_000
    """Values of more items than this are left out: they carry little information, and cost grows with the square of the count."""

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True, slots=True)
class CoOccurrenceConfig:
    """Options of counting common users (`co_occurrence.py`).

    Raises:
        ValueError: a value out of range.
    """

    last: Annotated[int, Between(2, 1000)] = 50
    """How many of the last training events of a user are counted."""

    neighbours: Annotated[int, Between(1, 1000)] = 100
    """Number of neighbours kept per item, those with the largest cosine."""

    def __post_init__(self) -> None:
        check_fields(self)
