"""The embedding of a column by its kind; the kinds (`ltrec.columns.kinds`) name these functions.

Each returns a module that maps stored values [N, ...] to vectors [N, D], with initial entries as small as those of id vectors.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from ltrec.models.inputs.categories import Bag, CategoryEmbedding
from ltrec.models.inputs.frozen import Frozen
from ltrec.models.inputs.number import NumberNet
from ltrec.models.inputs.times import Moment


class Described(Protocol):
    """A column as its data set describes it; see `ltrec.columns.schema.Column`."""

    @property
    def size(self) -> int:
        """Ids of a categorical; width of a vector."""

    @property
    def statistics(self) -> Mapping[str, float]:
        """Of training values: `mean` and `deviation`, and those of logarithms."""

    @property
    def options(self) -> Mapping[str, Any]:
        """Options of its kind, as declared."""


def category(column: Described, width: int) -> CategoryEmbedding:
    """For kind category."""
    return CategoryEmbedding(column.size, width)


def categories(column: Described, width: int) -> Bag:
    """For kind categories."""
    return Bag(column.size, width)


def number(column: Described, width: int) -> NumberNet:
    """For kind number."""
    log = bool(column.options.get("log"))
    prefix = "log_" if log else ""
    return NumberNet(width, mean=_of(column, f"{prefix}mean", 0.0), deviation=_of(column, f"{prefix}deviation", 1.0), log=log)


def time(column: Described, width: int) -> Moment:
    """For kind time."""
    return Moment(width, mean=_of(column, "mean", 0.0), deviation=_of(column, "deviation", 1.0))


def vector(column: Described, width: int) -> Frozen:
    """For kind vector."""
    return Frozen(column.size, width)


def _of(column: Described, statistic: str, absent: float) -> float:
    """A statistic, or a default for a column without values."""
    return float(column.statistics.get(statistic, absent))
