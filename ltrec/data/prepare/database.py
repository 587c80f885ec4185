"""DuckDB: a database with a memory limit, in a file next to the output; and small ones that evaluate expressions.

The file is written without a log and without compression, for its tables are read a few times and dropped. A database in memory
spills to disk as well, but what it reads from there it writes again: scans of large tables take ten times as long.
What the engine frees goes back to the system at once; otherwise half a gigabyte of it stays while shards are written.

Insertion order is always preserved: without that option, DuckDB 2.0 returns some ORDER BY results out of order. Extensions are
never downloaded.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import duckdb

from ltrec.core.errors import UserError

MOST_THREADS = 8
FILE = "tables.duckdb"


Connection = duckdb.DuckDBPyConnection
DatabaseError = duckdb.Error
OutOfMemory = duckdb.OutOfMemoryException
VERSION = duckdb.__version__


@contextmanager
def database(folder: Path, memory_limit: str, threads: int) -> Iterator[Connection]:
    """An open database in `folder`, closed on exit; the caller removes its files.

    Raises:
        UserError: `memory_limit` is not an amount of memory.
    """
    connection = duckdb.connect(":memory:", config={"autoinstall_known_extensions": False})
    with closing(connection):
        _set_up(connection, folder, memory_limit, threads)
        yield connection


def _set_up(connection: Connection, folder: Path, memory_limit: str, threads: int) -> None:
    try:
        connection.execute(f"SET memory_limit = {quoted(memory_limit)}")
    except duckdb.ParserException:
        raise UserError(f"`memory_limit` must be an amount such as 1GB or 500MB; got {memory_limit!r}") from None
    connection.execute(f"SET threads = {threads or min(MOST_THREADS, len(os.sched_getaffinity(0)))}")
    connection.execute(f"SET temp_directory = {quoted(folder / 'spill')}")
    connection.execute("SET allocator_flush_threshold = '1MB'; SET allocator_bulk_deallocation_flush_threshold = '1MB'")
    if "?" not in str(file := folder.absolute() / FILE):  # DuckDB finds no checkpoint below such a folder; memory spills as well
        connection.execute(
            f"SET force_compression = 'uncompressed'; ATTACH {quoted(file)} AS prepared (RECOVERY_MODE no_wal_writes)"
        )
        connection.execute("USE prepared")
    connection.execute("SET preserve_insertion_order = true; SET TimeZone = 'UTC'; SET enable_progress_bar = false")


def reclaim(connection: Connection) -> None:
    """Let what is written next take the place of dropped tables in the file."""
    connection.execute("CHECKPOINT")


def small_database(**settings: bool) -> Connection:
    """A database of its own in memory, which evaluates expressions on batches; times are UTC."""
    connection = duckdb.connect(config={"threads": 1, "autoinstall_known_extensions": False, **settings})
    connection.execute("SET TimeZone = 'UTC'")
    return connection


def check_expression(text: str) -> None:
    """Check that a text is one SQL expression.

    Raises:
        DatabaseError: it is not.
    """
    duckdb.SQLExpression(text)


def one_row(connection: Connection, query: str) -> tuple[int, ...]:
    """The single row of integers that `query` returns; NULL counts as 0."""
    (row,) = connection.execute(query).fetchall()  # a lone fetchone() would leave the connection busy (DuckDB 2.0)
    return tuple(int(value or 0) for value in row)


def quoted(value: object) -> str:
    """An SQL string literal."""
    return "'" + str(value).replace("'", "''") + "'"


def identifier(name: str) -> str:
    """An SQL name."""
    return '"' + name.replace('"', '""') + '"'


def user_key(column: str) -> str:
    """SQL for the key of a user in the shards: the last eight bytes of the id's MD5 as a signed little-endian integer."""
    number = f"md5_number_lower({column})::HUGEINT"
    return f"(CASE WHEN {number} >= {1 << 63} THEN {number} - {1 << 64} ELSE {number} END)::BIGINT"
