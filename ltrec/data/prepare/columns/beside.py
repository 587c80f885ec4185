"""The tables beside the log: which files they are, and the tables once they are read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb

from ltrec.columns.schema import Role
from ltrec.core.errors import UserError
from ltrec.data.prepare.columns.declared import Declared
from ltrec.data.prepare.columns.tables import LoadedTable, load_table
from ltrec.data.prepare.config import PrepareConfig
from ltrec.data.prepare.engine import one_row
from ltrec.data.prepare.readers.sources import InputFile, describe, find_sources
from ltrec.data.prepare.table_config import TableConfig


@dataclass(frozen=True, slots=True)
class Beside:
    """Files by role, of the tables that the config names."""

    files: dict[Role, list[InputFile]] = field(default_factory=dict)

    def __iter__(self) -> Iterator[InputFile]:
        for files in self.files.values():
            yield from files

    def described(self) -> dict[str, Any]:
        """What the manifest says of them, under `tables`; nothing without any."""
        return {"tables": {f"{role}s": describe(files, lambda _: None) for role, files in self.files.items()}} if self.files else {}


@dataclass(frozen=True, slots=True)
class Tables:
    """The tables that are read."""

    items: LoadedTable | None = None
    users: LoadedTable | None = None

    def notes(self) -> list[str]:
        """What the user must know of them."""
        return [note for table in (self.items, self.users) if table is not None for note in table.notes()]

    @property
    def user_columns(self) -> tuple[Declared, ...]:
        """Columns of users."""
        return () if self.users is None else self.users.columns


def find_beside(config: PrepareConfig) -> Beside:
    """The files.

    Raises:
        UserError: columns without a source, a source without columns, or files that are not found.
    """
    found: dict[Role, list[InputFile]] = {}
    for role in ("item", "user"):
        table = config.items if role == "item" else config.users
        if table.columns and not table.source:
            raise UserError(
                f"`{role}s.columns` names {', '.join(table.columns)}, but `{role}s.source` no table; say where they are"
            )
        if table.source and not table.columns:
            raise UserError(f"`{role}s.source` is {table.source}, but `{role}s.columns` is empty; say which columns to take")
        if table.source:
            found[role] = find_sources((table.source,), "auto")
    return Beside(found)


def load_tables(connection: duckdb.DuckDBPyConnection, config: PrepareConfig, beside: Beside, work: Path, out: Path) -> Tables:
    """Read them into `work`; if prepare stops for their rejects, these are in `out`.

    Raises:
        UserError: as `load_table`.
    """
    tables: dict[Role, TableConfig] = {"item": config.items, "user": config.users}
    items, users = (
        load_table(connection, config, table, role, beside.files[role], work, out) if role in beside.files else None
        for role, table in tables.items()
    )
    return Tables(items, users)


def count_users(connection: duckdb.DuckDBPyConnection) -> dict[str, int]:
    """Users of the log without a row in their table, and rows that no user of the log has."""
    without, unused = one_row(
        connection,
        "SELECT (SELECT count(*) FROM users ANTI JOIN user_rows USING (user_id)),"
        " (SELECT count(*) FROM user_rows ANTI JOIN users USING (user_id))",
    )
    return {"without_row": without, "unused": unused}
