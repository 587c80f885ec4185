"""Pairing two scorers: checks that they are comparable, and brings their users into the same order.

A difference between runs is only meaningful if nothing but the scorer differs. So the protocol (data, split, candidates, filter,
ties), the users and their targets must be equal; otherwise the pairing is refused with the first difference. Several runs of each
scorer are paired by training seed; a scorer without a seed (a baseline) is paired with every seed of the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ltrec.core import columns as c
from ltrec.core.errors import UserError
from ltrec.evaluation.comparison.naming import common_name
from ltrec.evaluation.metrics import metric_values
from ltrec.evaluation.table import NUM_CANDIDATES, RANK, TARGET, EvalTable, Protocol

Floats = npt.NDArray[np.float64]
WORDS = {
    "manifest": "prepared data",
    "candidates": "candidate set",
    "filter_seen": "filter of seen items",
    "version": "file format",
}


@dataclass(frozen=True, slots=True)
class Paired:
    """Tables of the base and of the other scorer, sorted by seed, with users in the same order.

    Attributes:
        base: one table per seed [S].
        other: one table per seed [S].
        seeds: training seeds [S]; None for a scorer without a seed.
    """

    base: tuple[EvalTable, ...]
    other: tuple[EvalTable, ...]
    seeds: tuple[int | None, ...]

    @property
    def names(self) -> tuple[str, str]:
        """Names of the base and of the other scorer."""
        base, other = (common_name([table.name for table in tables]) for tables in (self.base, self.other))
        return base, other

    def values(self, metric: str) -> tuple[Floats, Floats]:
        """A metric of base and other, both [S, N].

        Raises:
            UserError: there is no such metric.
        """
        return _metric(self.base, metric), _metric(self.other, metric)


def pair(*, base: Sequence[EvalTable], other: Sequence[EvalTable]) -> Paired:
    """Check that the tables can be compared, and pair them.

    Args:
        base: runs of the scorer to compare with, one per seed.
        other: runs of the scorer in question, one per seed.

    Raises:
        UserError: they cannot be compared; names what differs.
    """
    assert base and other, "nothing to compare"
    for table in (*base[1:], *other):
        _refuse_other_protocol(base[0], table)
    seeds, base, other = _by_seed(base, other)
    order = _in_order(base[0])
    aligned = [_aligned(order, table) for table in (*base, *other)]
    return Paired(tuple(aligned[: len(base)]), tuple(aligned[len(base) :]), seeds)


def seeds_of_one(tables: Sequence[EvalTable]) -> tuple[EvalTable, ...]:
    """Tables of one method's runs, one per training seed, with users in the same order; a single table is returned as it is.

    Raises:
        UserError: protocol or users differ, or two tables have the same seed.
    """
    assert tables, "nothing to bring into one order"
    if len(tables) == 1:
        return tuple(tables)
    return pair(base=tables, other=tables).base


def _refuse_other_protocol(one: EvalTable, two: EvalTable) -> None:
    for field in fields(Protocol):
        a, b = getattr(one.protocol, field.name), getattr(two.protocol, field.name)
        if a != b:
            what = WORDS.get(field.name, field.name)
            a, b = (x[:12] if field.name == "manifest" else x for x in (a, b))
            raise UserError(
                f"cannot compare {one.name!r} with {two.name!r}: {what} differs ({a} and {b}); evaluate both with the same protocol"
            )


def _by_seed(
    base: Sequence[EvalTable], other: Sequence[EvalTable]
) -> tuple[tuple[int | None, ...], Sequence[EvalTable], Sequence[EvalTable]]:
    if len(base) == len(other) == 1:
        return (other[0].source.get("seed"),), base, other
    base_seeds, other_seeds = _seeds(base), _seeds(other)
    if base_seeds == (None,):
        base, base_seeds = [base[0]] * len(other), other_seeds
    if other_seeds == (None,):
        other, other_seeds = [other[0]] * len(base), base_seeds
    if sorted(base_seeds, key=str) != sorted(other_seeds, key=str):
        raise UserError(
            f"cannot pair the runs of {base[0].name!r} (seeds {_listed(base_seeds)}) with those of {other[0].name!r} "
            f"(seeds {_listed(other_seeds)}); give runs of the same seeds"
        )
    pairs = [(seed, table, other[other_seeds.index(seed)]) for seed, table in zip(base_seeds, base, strict=True)]
    pairs.sort(key=lambda pair: -1 if pair[0] is None else pair[0])  # sums do not depend on the order in which runs are given
    return tuple(seed for seed, _, _ in pairs), [table for _, table, _ in pairs], [table for _, _, table in pairs]


def _seeds(tables: Sequence[EvalTable]) -> tuple[int | None, ...]:
    seeds = tuple(t.source.get("seed") for t in tables)
    if len(set(seeds)) < len(seeds):
        raise UserError(f"the runs of {tables[0].name!r} have seeds {_listed(seeds)}; every run needs a different seed")
    return seeds


def _listed(seeds: Sequence[int | None]) -> str:
    return ", ".join("none" if s is None else str(s) for s in seeds)


def _in_order(table: EvalTable) -> EvalTable:
    order = np.argsort(table.column(c.USER_KEY), kind="stable")
    return replace(table, rows=table.rows.take(pa.array(order)))


def _aligned(first: EvalTable, table: EvalTable) -> EvalTable:
    """`table` in the order of user keys, after checking that it has the users and targets of `first` (already sorted)."""
    table = _in_order(table)
    mine, theirs = first.column(c.USER_KEY), table.column(c.USER_KEY)
    if not np.array_equal(mine, theirs):
        only_first, only_second = np.setdiff1d(mine, theirs), np.setdiff1d(theirs, mine)
        example = _user(first, only_first[0]) if len(only_first) else _user(table, only_second[0])
        raise UserError(
            f"cannot compare {first.name!r} with {table.name!r}: the users differ ({len(only_first)} only in the first, "
            f"{len(only_second)} only in the second, for example {example!r}); evaluate both on the whole split"
        )
    differ = mine[first.column(TARGET) != table.column(TARGET)]
    if len(differ):
        raise UserError(
            f"cannot compare {first.name!r} with {table.name!r}: the targets of {len(differ)} users differ, for example of "
            f"{_user(first, differ[0])!r}; evaluate both again"
        )
    return table


def _user(table: EvalTable, key: int) -> str:
    """Raw id of a user; the table is sorted by user key."""
    return str(table.rows.column(c.USER_ID)[int(np.searchsorted(table.column(c.USER_KEY), key))].as_py())


def _metric(tables: Sequence[EvalTable], name: str) -> Floats:
    return np.stack([metric_values(name, table.column(RANK), table.column(NUM_CANDIDATES)) for table in tables])
