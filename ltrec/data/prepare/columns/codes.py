"""Categorical values to codes: from 1 in alphabetical order, 0 = missing. Other kinds get the value that means "missing"."""

from __future__ import annotations

from collections.abc import Iterable

from ltrec.columns.schema import UNKNOWN
from ltrec.data.prepare.columns.declared import Declared
from ltrec.data.prepare.database import Connection, identifier, one_row


def make_vocabularies(connection: Connection, columns: Iterable[Declared], table: str) -> None:
    """Make the vocabulary table (value, code) of every categorical column, from its values in the SQL relation `table`."""
    for column in columns:
        if column.kind.is_categorical:
            field = identifier(column.field)
            value = f"unnest({field})" if column.sql_type.endswith("[]") else field
            connection.execute(
                f"CREATE TABLE {column.vocabulary} AS SELECT value, row_number() OVER (ORDER BY value)::INTEGER AS code"
                f" FROM (SELECT DISTINCT value FROM (SELECT {value} AS value FROM {table}) WHERE value IS NOT NULL)"
            )


def coded(columns: Iterable[Declared]) -> tuple[str, str]:
    """SQL that selects the columns as codes (to be appended to a list of columns), and the joins that it needs. Not for lists."""
    listed, joins = "", ""
    for column in columns:
        field = identifier(column.field)
        if column.kind.is_categorical:
            joins += f" LEFT JOIN {column.vocabulary} ON {field} = {column.vocabulary}.value"
            listed += f", coalesce({column.vocabulary}.code, 0)::INTEGER AS {field}"
        else:
            listed += f", coalesce({field}, {missing(column)}) AS {field}"
    return listed, joins


def code_users(connection: Connection, columns: Iterable[Declared]) -> None:
    """Replace the values in `user_rows` by codes."""
    values, joins = coded(columns)
    connection.execute(
        f"CREATE TABLE coded_rows AS SELECT user_id{values} FROM user_rows{joins};"
        " DROP TABLE user_rows; ALTER TABLE coded_rows RENAME TO user_rows"
    )


def vocabulary_size(connection: Connection, column: Declared) -> int:
    """Largest code of a categorical column: the number of its distinct values, unless codes are those of an earlier data set."""
    return max(UNKNOWN, one_row(connection, f"SELECT max(code) FROM {column.vocabulary}")[0])


def missing(column: Declared) -> str:
    """SQL: the value of a column that means "missing", as a code or stored."""
    if column.kind.is_categorical:
        return "0"
    return f"'{column.kind.missing}'::{column.sql_type}"
