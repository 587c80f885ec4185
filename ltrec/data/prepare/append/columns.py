"""Columns of the day's events, items and users, on top of the parent's; `columns.earlier` says what stays. Without any columns no
step does anything."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ltrec.core import columns as c
from ltrec.core.ragged import I64
from ltrec.data.prepare.append.day import Day
from ltrec.data.prepare.append.parent import Parent
from ltrec.data.prepare.append.rows import ParentUsers, is_among
from ltrec.data.prepare.columns.codes import code_users
from ltrec.data.prepare.columns.declared import Declared, also, event_columns
from ltrec.data.prepare.columns.describe import DescribedColumns, describe_columns, tallies_of
from ltrec.data.prepare.columns.earlier import EarlierColumns, grow_vocabularies, keep_users, take_values
from ltrec.data.prepare.columns.items import add_new_items, write_items
from ltrec.data.prepare.columns.side_tables import SideTables, Tables, load_tables
from ltrec.data.prepare.columns.tally import Tally
from ltrec.data.prepare.config import PrepareConfig
from ltrec.data.prepare.database import identifier, one_row, quoted, user_key
from ltrec.data.prepare.engines.protocol import Engine


@dataclass(slots=True)
class ColumnsOfDay:
    """The columns, as declared by the parent.

    Attributes:
        engine: holds the day.
        config: options of the day.
        earlier: the parent's columns.
        work: folder in which the data set is built.
        tables: the day's tables, empty ones if it has none.
        counts: by role, what was counted of these tables.
    """

    engine: Engine
    config: PrepareConfig
    earlier: EarlierColumns
    work: Path
    tables: Tables
    counts: dict[str, dict[str, int]] = field(default_factory=dict)

    @staticmethod
    def load(
        engine: Engine, config: PrepareConfig, parent: Parent, side_tables: SideTables, work: Path, out: Path, *, recut: bool
    ) -> ColumnsOfDay:
        """The columns, with the day's tables in the engine; if too many of their rows are rejected, those are in `out`.

        Raises:
            UserError: as `load_tables`.
        """
        tables = load_tables(engine.catalogue, config, side_tables, work, out)
        return ColumnsOfDay(engine, config, EarlierColumns(parent.folder, parent.manifest, recut), work, tables)

    @property
    def events(self) -> tuple[Declared, ...]:
        """The event columns, the weight last."""
        return event_columns(self.config)

    @property
    def users(self) -> tuple[Declared, ...]:
        """The user columns."""
        return self.tables.user_columns

    def take_ids(self) -> None:
        """Recode values in the tables of events, items and users by the parent's ids."""
        take_values(self.engine, self.events, self.earlier)
        for table in filter(None, (self.tables.items, self.tables.users)):
            grow_vocabularies(self.engine.catalogue, table.columns, self.earlier)

    def add_new_items(self, codes: int) -> int:
        """Give codes from `codes` on to items that only the day's table has; how many there are."""
        if self.tables.items is None:
            return 0
        vocabulary = self.earlier.folder / self.earlier.manifest.vocab.path
        known = f"(SELECT {c.ITEM_ID} AS item_id FROM read_parquet({quoted(vocabulary)})) AS known"
        run = self.engine.catalogue
        run.execute(
            "CREATE TABLE new_items AS SELECT item_id FROM item_rows ANTI JOIN items USING (item_id)"
            f" ANTI JOIN {known} USING (item_id);"
            "CREATE TABLE item_events AS SELECT code, count(*) AS events FROM events GROUP BY code"
        )
        (rows,) = one_row(run, f"SELECT count(*) FROM item_rows SEMI JOIN {known} USING (item_id)")
        self.counts["item"] = found = add_new_items(run, codes) | {"known": rows}
        return found["new"]

    def add_users(self, parent: ParentUsers, day: Day) -> None:
        """Gather the columns of all users whose rows are written: those whom the parent has keep theirs."""
        if not self.users:
            return
        run, key_P = self.engine.catalogue, parent.keys()
        rows = run.sql(f"SELECT {user_key('user_id')} AS user_key FROM user_rows").to_arrow_table()
        key_R = rows["user_key"].to_numpy()
        known_R, mine_R = is_among(key_R, key_P), is_among(key_R, day.key_U)
        new = int((~is_among(day.key_U, key_P)).sum())
        self.counts["user"] = {
            "without_row": new - int((~known_R & mine_R).sum()),
            "unused": int((~known_R & ~mine_R).sum()),
            "known": int(known_R.sum()),
        }
        code_users(run, self.users)
        run.register("before", day.old.table([c.USER_KEY, *(column.field for column in self.users)]))
        before = run.sql(f"SELECT user_id{also(self.users)} FROM before JOIN users USING (user_key)").to_arrow_table()
        run.unregister("before")
        keep_users(run, self.users, [before])

    def empty_tallies(self) -> list[Tally]:
        """Of event and user columns."""
        return tallies_of(self.engine.catalogue, (*self.events, *self.users))

    def add_others(self, tallies: list[Tally], day: Day) -> None:
        """Add what the parent counted of all other users; the table `older` has the events of the day's."""
        for tally in tallies:
            if tally.column.kind.is_categorical:
                counts = self.earlier.counts(tally.column) - self._superseded(tally.column, day)
                tally.count_W[: counts.size] += counts

    def described(self, tallies: list[Tally], id_of_code: npt.NDArray[np.int32], count_of_code: I64) -> DescribedColumns:
        """Write the vocabularies and the item table, and describe all columns.

        Args:
            tallies: of event and user columns, over all users.
            id_of_code: item id of every code.
            count_of_code: training events of every code.
        """
        run = self.engine.catalogue
        found = describe_columns(run, tallies, self.config.targets, self.work, self.earlier)
        if self.tables.items is None:
            return found
        return write_items(run, self.tables.items, id_of_code, count_of_code, self.work, self.earlier).before(found)

    def known_rows(self) -> dict[str, int]:
        """By table, the number of rows of items or users that the parent has: they are not used."""
        return {f"{role}s": found["known"] for role, found in self.counts.items()}

    def _superseded(self, column: Declared, day: Day) -> I64:
        """Training occurrences by id in the rows of the parent that are written anew."""
        size = self.earlier.size(column)
        if column.role == "user":
            ids = day.old.column(column.field)[day.old.column(c.TRAIN_EVENTS) > 0]
            return np.bincount(ids.astype(np.int64), minlength=size)
        field = identifier(column.field)
        found = self.engine.catalogue.sql(f"SELECT {field} AS id, count(*) AS events FROM older WHERE trained GROUP BY id")
        total, rows = np.zeros(size, np.int64), found.to_arrow_table()
        total[rows["id"].to_numpy()] = rows["events"].to_numpy()
        return total


def joined_table(before: dict[str, Any], read: dict[str, Any], counts: dict[str, int]) -> dict[str, Any]:
    """The summary of a table: the parent's, what was read of the day's, and what was counted of it."""
    numbers = {name: number for name, number in (read | counts).items() if isinstance(number, int) and name != "known"}
    reasons = {name: _sums(before.get(name, {}), read.get(name, {})) for name in ("rejects", "shortened")}
    return {**before, **_sums(before, numbers, only=numbers), **{name: total for name, total in reasons.items() if total}}


def _sums(first: dict[str, Any], second: dict[str, int], only: Iterable[str] = ()) -> dict[str, int]:
    return {name: first.get(name, 0) + second.get(name, 0) for name in only or sorted({*first, *second})}
