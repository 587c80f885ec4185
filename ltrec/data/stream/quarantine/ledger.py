"""The ledger: which row groups were damaged, since when, and how many rows were replaced. Part of the stream's state."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated

from ltrec.core.bounds import INT64, Between, check_fields
from ltrec.core.columns import NO_STRATUM
from ltrec.core.errors import UserError
from ltrec.core.storage.atomic import atomic_write_text
from ltrec.core.storage.canonical import canonical_json
from ltrec.core.storage.seal import opened, sealed
from ltrec.core.storage.typed import construct
from ltrec.data.stream.quarantine.damage import Rule


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """A damaged row group.

    Attributes:
        shard: its path in the data set.
        group: number of the row group in it.
        stratum: of its users, the data set's.
        users: its rows.
        rule: the check that failed.
        since: the first step without it.
        replaced: rows of training batches in which others took the place of its users.
    """

    shard: str
    group: Annotated[int, Between(0, INT64)]
    stratum: Annotated[int, Between(NO_STRATUM, 99)]
    users: Annotated[int, Between(1, INT64)]
    rule: Rule
    since: Annotated[int, Between(0, INT64)]
    replaced: Annotated[int, Between(0, INT64)] = 0

    def __post_init__(self) -> None:
        check_fields(self)


Ledger = tuple[LedgerEntry, ...]
"""Ordered by shard and row group, each of which is in it once."""

Gather = Callable[[Ledger], Iterable[Ledger]]
"""This rank's ledger -> those of all ranks. A collective."""


def alone(own: Ledger) -> list[Ledger]:
    """`Gather` for a single process."""
    return [own]


def merged(ledgers: Iterable[Ledger]) -> Ledger:
    """One ledger of several, of other ranks or an earlier time: counts add up, and the earliest finding stays."""
    found: dict[tuple[str, int], LedgerEntry] = {}
    for entry in (entry for ledger in ledgers for entry in ledger):
        place = (entry.shard, entry.group)
        if (before := found.get(place)) is None:
            found[place] = entry
        else:
            first = min(before, entry, key=lambda one: one.since)
            found[place] = replace(first, replaced=before.replaced + entry.replaced)
    return tuple(found[place] for place in sorted(found))


def totals(ledger: Ledger) -> dict[str, float]:
    """The ledger in numbers, for metrics: row groups, their users, replaced rows, and users of each stratum."""
    by_stratum: dict[str, float] = {}
    for entry in ledger:
        key = f"quarantine/users/{'none' if entry.stratum == NO_STRATUM else entry.stratum}"
        by_stratum[key] = by_stratum.get(key, 0) + entry.users
    return {
        "quarantine/row_groups": len(ledger),
        "quarantine/users": sum(entry.users for entry in ledger),
        "quarantine/replaced_rows": sum(entry.replaced for entry in ledger),
        **by_stratum,
    }


def write_ledger(path: Path, ledger: Ledger) -> None:
    """Write a ledger and its totals as JSON."""
    values = {"row_groups": [asdict(entry) for entry in ledger], "totals": totals(ledger)}
    atomic_write_text(path, canonical_json(sealed(values)))


def read_ledger(path: Path) -> Ledger:
    """The ledger in a file; empty if there is no file.

    Raises:
        UserError: it is damaged.
    """
    try:
        return construct(_Written, opened(path.read_text(encoding="utf-8"))).row_groups
    except FileNotFoundError:
        return ()
    except ValueError as error:
        raise UserError(f"{path} is damaged ({error}); restore the file, or remove it and go without its contents") from None


@dataclass(frozen=True, slots=True)
class _Written:
    row_groups: Ledger
    totals: dict[str, float]
