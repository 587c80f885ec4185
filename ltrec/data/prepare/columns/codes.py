"""Words to codes: from 1 in the order of the words, 0 where there is none. Other kinds get their own value for none."""

from __future__ import annotations

from collections.abc import Iterable

import duckdb

from ltrec.data.prepare.columns.declared import Declared
from ltrec.data.prepare.engine import identifier, one_row


def number_words(connection: duckdb.DuckDBPyConnection, columns: Iterable[Declared], table: str) -> None:
    """Make the table of words (value, code) of every categorical among `columns`, of those in `table`, an SQL relation."""
    for column in columns:
        if column.kind.is_categorical:
            field = identifier(column.field)
            value = f"unnest({field})" if column.sql_type.endswith("[]") else field
            connection.execute(
                f"CREATE TABLE {column.words} AS SELECT value, row_number() OVER (ORDER BY value)::INTEGER AS code"
                f" FROM (SELECT DISTINCT value FROM (SELECT {value} AS value FROM {table}) WHERE value IS NOT NULL)"
            )


def coded(columns: Iterable[Declared]) -> tuple[str, str]:
    """SQL: the columns coded, at the end of a list of others, and the joins that this takes. Not for lists of words."""
    listed, joins = "", ""
    for column in columns:
        field = identifier(column.field)
        if column.kind.is_categorical:
            joins += f" LEFT JOIN {column.words} ON {field} = {column.words}.value"
            listed += f", coalesce({column.words}.code, 0)::INTEGER AS {field}"
        else:
            listed += f", coalesce({field}, {_missing(column)}) AS {field}"
    return listed, joins


def count_words(connection: duckdb.DuckDBPyConnection, column: Declared) -> int:
    """Words of a categorical."""
    return one_row(connection, f"SELECT count(*) FROM {column.words}")[0]


def _missing(column: Declared) -> str:
    return f"'{column.kind.missing}'::{column.sql_type}"
