"""The result of the gate: the two sides of a data set, the data set, and all data sets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

PASS, FAIL, INCONCLUSIVE = "pass", "fail", "inconclusive"


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two tests.

    Attributes:
        users: users of the group.
        base: the base's mean of the metric.
        change: other - base.
        low: one-sided 95 % lower bound of the change.
        high: one-sided 95 % upper bound of the change.
        p: p-value of the null hypothesis; for the tail adjusted over data sets.
            With one seed it accounts, like the bounds, for users only.
        verdict: of this side alone.
        users_to_decide: number of users *in all* that would decide it; None if no number would (or it is decided).
        seeds_to_decide: number of seeds that would decide it; None likewise, and with a single seed.
    """

    users: int
    base: float
    change: float
    low: float
    high: float
    p: float
    verdict: str
    users_to_decide: int | None = None
    seeds_to_decide: int | None = None


@dataclass(frozen=True, slots=True)
class DatasetVerdict:
    """The gate on one data set; `seeds` is the number of pairs, `seeds_missing` how many more are needed for a verdict.

    `notes` are what the reader must know about how the two methods were trained.
    """

    dataset: str
    base: str
    other: str
    seeds: int
    seeds_missing: int
    tail: Side
    head: Side
    verdict: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Gate:
    """The gate over all data sets."""

    metric: str
    margin: float
    datasets: tuple[DatasetVerdict, ...]
    verdict: str

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> Gate:
        """From the result of `to_dict`, read from JSON."""
        datasets = tuple(_dataset_from(found) for found in values["datasets"])
        return Gate(**{**values, "datasets": datasets})


def _dataset_from(values: Mapping[str, Any]) -> DatasetVerdict:
    sides = {name: Side(**values[name]) for name in ("tail", "head")}
    return DatasetVerdict(**{**values, **sides, "notes": tuple(values["notes"])})
