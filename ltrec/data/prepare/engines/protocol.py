"""What the steps of prepare ask of an engine: tables of the log and its users, by name, queries over them, and the sorted result.

staged   rows as they were read, with the reasons of rejects
events   user_key, code (of the item), seconds, sub_second (10^-18 s, for order only), tie (file and row),
         event columns (see columns/codes)
tied     those of the events that may share their user and time with another one, until ties are ordered; `tied_at` has hashes of
         these (see filtering)
names    user_key, user_id
users    one row per user (see users/splits); stored: the same with positions after the history cap (see sorting/layout)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ltrec.core.progress import Progress
from ltrec.data.manifest import Shard
from ltrec.data.prepare.columns.declared import Declared
from ltrec.data.prepare.columns.tally import Tally
from ltrec.data.prepare.config import PrepareConfig
from ltrec.data.prepare.database import Connection
from ltrec.data.prepare.engines.staged import Staged
from ltrec.data.prepare.output.rows import RowForm
from ltrec.data.prepare.readers.sources import InputFile
from ltrec.data.prepare.sorting.grouping import UserBlock
from ltrec.data.prepare.sorting.parts import Cut, StratumPart
from ltrec.data.prepare.staging import Counted
from ltrec.data.prepare.times.choice import TimeFormat


class Sorted(Protocol):
    """Users and events in the order of the shards."""

    parts: tuple[StratumPart, ...]

    def blocks(self, columns: Sequence[str] = ()) -> Iterator[UserBlock]:
        """All blocks in order, with these event columns."""
        ...

    def count(self, codes: int, tallies: Sequence[Tally]) -> npt.NDArray[np.int64]:
        """Training events per item code [codes]; the training values of columns are added to the tallies."""
        ...

    def write(self, form: RowForm, on_progress: Progress) -> tuple[Shard, ...]:
        """Write all shards, ordered by path; reports the step `write` in users."""
        ...


class Engine(Protocol):
    """Holds the log and its users."""

    made_by: str
    """Name and version, as the manifest has them; empty = DuckDB, which is in `created_by`."""
    moment: str
    """SQL: a hash of an event's user and time."""

    @property
    def catalogue(self) -> Connection:
        """The database of items, values of columns, and item and user tables."""
        ...

    def stage(
        self, sources: Sequence[InputFile], config: PrepareConfig, columns: Sequence[Declared], on_progress: Progress
    ) -> Counted:
        """Read every source into `staged`; return the counts."""
        ...

    @property
    def staged(self) -> Staged:
        """The rows that were read."""
        ...

    def judge(self, chosen: TimeFormat) -> dict[str, int]:
        """Add the reasons that depend on the chosen form of time; return rejects by reason."""
        ...

    def rejected(self) -> str:
        """SQL for the catalogue: a relation of file, row, reason and content with the rejects."""
        ...

    def make_events(self, chosen: TimeFormat, columns: Sequence[Declared]) -> None:
        """Fill `items` and the vocabularies in the catalogue, `names` and `events`; drop the staged rows."""
        ...

    def find_tied_moments(self) -> None:
        """Fill `tied_at` with the `moment` of events that may share their user and time with another one."""
        ...

    def make(self, name: str, query: str) -> None:
        """Make a table of a query's rows."""
        ...

    def append(self, name: str, query: str) -> None:
        """Add the rows of a query, which may read the table."""
        ...

    def replace(self, name: str, query: str) -> None:
        """Replace a table by the rows of a query, which may read it."""
        ...

    def take_out(self, condition: str, rows: int, total: int) -> None:
        """Take the events out that meet a condition, `rows` of `total`."""
        ...

    def drop(self, *names: str) -> None:
        """Drop tables."""
        ...

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """The few rows that a query returns."""
        ...

    def computed(self, source: str, **expressions: str) -> str:
        """SQL: a relation with further BIGINT columns, computed from its rows by DuckDB's expressions."""
        ...

    def packed(self, names: Sequence[str]) -> str:
        """SQL: several columns as one value, compared in this order."""
        ...

    def last_three(self, column: str, condition: str) -> tuple[str, tuple[str, str, str]]:
        """SQL: an aggregate `last_three` of the largest values of rows that meet a condition; and the three, -1 if missing."""
        ...

    def gather(self, name: str, query: str) -> None:
        """Make a table of the catalogue of a query's rows, which are bounded by the number of items."""
        ...

    def lend(self, name: str) -> None:
        """Let queries read a table of the catalogue."""
        ...

    def number(self, name: str, query: str, order: str) -> None:
        """Make a table of a query's rows with their `place` in this order, from 0."""
        ...

    def sort(self, users: str, events: str, parts: tuple[StratumPart, ...], cut: Cut) -> Sorted:
        """Sort users and events, and drop the table of events.

        Args:
            users: query of the users with their place; the order is place.
            events: query of place, code, seconds, sub_second, tie and columns; the order is place, seconds, sub_second, tie.
            parts: the parts in order.
            cut: sizes of blocks and shards.
        """
        ...


def counted(engine: Engine, query: str) -> tuple[int, ...]:
    """The single row of integers that `query` returns; NULL counts as 0."""
    (row,) = engine.rows(query)
    return tuple(int(value or 0) for value in row)


__all__ = ["Engine", "Sorted", "Staged", "counted"]
