"""The item and user tables: their files, and the loaded tables."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from ltrec.columns.schema import Role
from ltrec.core.errors import UserError
from ltrec.data.prepare.columns.declared import Declared, declared
from ltrec.data.prepare.columns.tables import LoadedTable, load_table
from ltrec.data.prepare.config import PrepareConfig
from ltrec.data.prepare.database import Connection
from ltrec.data.prepare.engines.protocol import Engine, counted
from ltrec.data.prepare.readers.sources import InputFile, describe, find_sources
from ltrec.data.prepare.table_config import TableConfig


@dataclass(frozen=True, slots=True)
class SideTables:
    """Files of the tables that the config names, by role."""

    files: dict[Role, list[InputFile]] = field(default_factory=dict)

    def __iter__(self) -> Iterator[InputFile]:
        for files in self.files.values():
            yield from files

    def described(self) -> dict[str, Any]:
        """Their entry in the manifest, under `tables`; empty if there are none."""
        return {"tables": {f"{role}s": describe(files, lambda _: None) for role, files in self.files.items()}} if self.files else {}


@dataclass(frozen=True, slots=True)
class Tables:
    """The loaded tables."""

    items: LoadedTable | None = None
    users: LoadedTable | None = None

    def notes(self) -> list[str]:
        """Notes for the user."""
        return [note for table in (self.items, self.users) if table is not None for note in table.notes()]

    @property
    def user_columns(self) -> tuple[Declared, ...]:
        """The user columns."""
        return () if self.users is None else self.users.columns


def table_columns(config: PrepareConfig) -> tuple[Declared, ...]:
    """The item and user columns that are declared.

    Raises:
        UserError: a kind that such columns cannot have.
    """
    items, users = (declared(table.columns, role, f"{role}s.columns") for role, table in _tables(config).items())
    return (*items, *users)


def _tables(config: PrepareConfig) -> dict[Role, TableConfig]:
    return {"item": config.items, "user": config.users}


def find_side_tables(config: PrepareConfig, *, needed: bool = True) -> SideTables:
    """The files of both tables; if they are not `needed`, columns without a source have a table without files.

    Raises:
        UserError: columns without a source, a source without columns, or missing files.
    """
    found: dict[Role, list[InputFile]] = {}
    for role, table in _tables(config).items():
        if table.columns and not table.source and not needed:
            found[role] = []
        elif table.columns and not table.source:
            raise UserError(
                f"`{role}s.columns` names {', '.join(table.columns)}, but `{role}s.source` is empty; say which table has them"
            )
        if table.source and not table.columns:
            raise UserError(f"`{role}s.source` is {table.source}, but `{role}s.columns` is empty; say which columns to take")
        if table.source:
            found[role] = find_sources((table.source,), "auto")
    return SideTables(found)


def load_tables(connection: Connection, config: PrepareConfig, side_tables: SideTables, work: Path, out: Path) -> Tables:
    """Load the tables; if there are too many rejects, they are written to `out`.

    Raises:
        UserError: as `load_table`.
    """
    items, users = (
        load_table(connection, config, table, role, side_tables.files[role], work, out) if role in side_tables.files else None
        for role, table in _tables(config).items()
    )
    return Tables(items, users)


def refuse_unmatched(engine: Engine, tables: Tables) -> None:
    """Refuse a table that has no row for any item, or user, of the log.

    Raises:
        UserError: with an id of each.
    """
    for table in filter(None, (tables.items, tables.users)):
        section, rows = f"{table.role}s", engine.rows
        if table.role == "item":
            rows = partial(_rows, engine.catalogue)
        ((matched,),) = rows(f"SELECT count(*) FROM {section} SEMI JOIN {table.name} USING ({table.id})")
        if not matched:
            query = f"SELECT (SELECT min({table.id}) FROM {section}), (SELECT min({table.id}) FROM {table.name})"
            ((known, other),) = rows(query)
            ids = "it has no rows" if other is None else f"its ids are like {other!r}"
            raise UserError(
                f"`{section}.source` has no row for any {table.role} of the log, such as {known!r}; {ids}: is {table.key!r} the "
                f"column with the log's ids (`{section}.id`)?"
            )


def _rows(connection: Connection, query: str) -> list[tuple[Any, ...]]:
    return list(connection.execute(query).fetchall())


def count_users(engine: Engine) -> dict[str, int]:
    """Counts of users without a row in the user table, and of rows whose user is not in the log."""
    without, unused = counted(
        engine,
        "SELECT (SELECT count(*) FROM users ANTI JOIN user_rows USING (user_id)),"
        " (SELECT count(*) FROM user_rows ANTI JOIN users USING (user_id))",
    )
    return {"without_row": without, "unused": unused}
