"""The option `where`: which rows of a log to use, as one SQL expression on the log's columns.

    where='event == "purchase"'       where="price > 10 AND event IN ('cart', 'buy')"

DuckDB parses and evaluates it. Only a single expression is accepted: no second statement and no subquery, and the connection that
evaluates it has no access to files. Functions that return another value every time (random, now) are refused, because the data set
would differ every time. A name in double quotes that is not a column is treated as text, since that is usually meant.

Columns of text formats get the first type that fits (nearly) all values of the first batch: integer, number, boolean, time, else
text. A row with a value that does not fit is rejected; a row for which the condition is NULL is not selected.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import types

from ltrec.core.errors import UserError, first_line, nearest
from ltrec.data.prepare.database import DatabaseError, check_expression, identifier, one_row, small_database
from ltrec.data.prepare.readers.ids import null_markers

FITTING = 0.99
"""Share of a column's values that a type must fit."""

_FORBIDDEN = {"SUBQUERY": "a subquery", "PARAMETER": "a parameter", "STAR": "a star"}
_FUNCTION = "SELECT function_type, stability FROM duckdb_functions() WHERE function_name = ?"
_QUOTED = re.compile(r"""('(?:[^']|'')*')|"((?:[^"]|"")*)\"""")
_TYPES = {
    "BIGINT": "regexp_full_match(trim({0}), '[+-]?[0-9]+') AND TRY_CAST({0} AS BIGINT) IS NOT NULL",
    "DOUBLE": "TRY_CAST({0} AS DOUBLE) IS NOT NULL",
    "BOOLEAN": "lower(trim({0})) IN ('true', 'false')",
    "TIMESTAMP": "TRY_CAST({0} AS TIMESTAMP) IS NOT NULL",
}


class Where:
    """A condition on rows. Its meaning depends on the column names, so it is bound to them once and then applied to batches.

    Args:
        text: the condition.
        types: types of text columns, where they were chosen before.

    Raises:
        UserError: it is not a single expression, or contains something that is not allowed.
    """

    def __init__(self, text: str, types: Mapping[str, str] | None = None) -> None:
        self.text = text
        self.names: tuple[str, ...] | None = None
        self._expression = text
        self._types: dict[str, str] = dict(types or {})
        self._texts: tuple[str, ...] | None = None
        self._connection = small_database(enable_external_access=False)
        self._tree(text)

    def bind(self, names: Sequence[str]) -> tuple[str, ...]:
        """The columns that the condition uses, given those of the log.

        Raises:
            UserError: it uses a column that the log does not have.
        """
        if self.names is None:
            self._expression = _QUOTED.sub(lambda found: _literal(found, names), self.text)
            used = dict.fromkeys(_columns(self._tree(self._expression)))
            for name in used:
                if name not in names:
                    raise UserError(
                        f"{self._option()}: the log has no column {name!r}{nearest(name, names)}; it has {', '.join(names)}"
                    )
            self.names = tuple(used)
        return self.names

    def __call__(self, batch: pa.RecordBatch, null_values: Sequence[str]) -> tuple[pa.Array, dict[str, pa.Array]]:
        """Whether each row is selected, bool [N] without nulls; and for each text column, which values do not fit its type.

        Raises:
            UserError: the condition cannot be evaluated.
        """
        columns = {name: batch[name] for name in self.names or ()}
        texts = [name for name, column in columns.items() if types.is_string(column.type)]
        columns |= {name: null_markers(columns[name], null_values) for name in texts}
        self._texts = tuple(texts)
        self._connection.register("log", pa.table({"row": batch["row"], **columns}))
        try:
            for name in texts:
                if name not in self._types and (kind := self._type(name)):
                    self._types[name] = kind
            typed = ", ".join(f"{self._cast(n)} AS {identifier(n)}" for n in texts)
            star = f"* REPLACE ({typed})" if typed else "*"
            misfits = ", ".join(
                f"coalesce({identifier(n)} IS NOT NULL AND {self._cast(n)} IS NULL, false) AS {identifier(n)}" for n in texts
            )
            selected = self._connection.sql(
                f"SELECT coalesce(CAST(({self._expression}\n) AS BOOLEAN), false) AS selected FROM (SELECT {star} FROM log)"
            ).to_arrow_table()["selected"]
            wrong = self._connection.sql(f"SELECT {misfits} FROM log").to_arrow_table() if texts else {}
            return selected.combine_chunks(), {name: wrong[name].combine_chunks() for name in texts if pc.any(wrong[name]).as_py()}
        except DatabaseError as error:
            raise UserError(f"{self._option()}: {first_line(error)}") from None
        finally:
            self._connection.unregister("log")

    @property
    def types(self) -> dict[str, str] | None:
        """The types of all text columns, to give to another condition with this text; None as long as they are not all known."""
        return dict(self._types) if self._texts is not None and all(name in self._types for name in self._texts) else None

    def type_of(self, name: str) -> str:
        """The type that was chosen for a text column, in lower case."""
        return self._types[name].lower()

    def _cast(self, name: str) -> str:
        """SQL: a text column cast to its type; an untyped NULL as long as it has had no value."""
        return f"TRY_CAST({identifier(name)} AS {self._types[name]})" if name in self._types else "NULL"

    def _type(self, name: str) -> str | None:
        """The first type that fits nearly all values of the batch; None if there are no values."""
        for kind, fits in _TYPES.items():
            condition = f"count(*) FILTER (WHERE {fits.format(identifier(name))})"
            fitting, all_values = one_row(self._connection, f"SELECT {condition}, count({identifier(name)}) FROM log")
            if not all_values:
                return None
            if fitting >= FITTING * all_values:
                return kind
        return "VARCHAR"

    def _option(self) -> str:
        return f"`where`={self.text!r}"

    def _tree(self, expression: str) -> dict[str, Any]:
        """DuckDB's own parse tree of the condition."""
        try:
            check_expression(expression)  # raises unless it is one expression
            query = f"SELECT 1 FROM log WHERE ({expression}\n)"
            ((text,),) = self._connection.execute("SELECT json_serialize_sql(?)", [query]).fetchall()
            tree = json.loads(text)
        except (DatabaseError, RecursionError, ValueError) as error:
            raise UserError(f"{self._option()} is not a condition such as event = 'purchase': {first_line(error)}") from None
        if tree["error"] or len(tree["statements"]) != 1:
            raise UserError(
                f"{self._option()} is not a condition such as event = 'purchase': {tree.get('error_message', 'more than one')}"
            )
        condition = tree["statements"][0]["node"]["where_clause"]
        if found := next(filter(None, map(self._objection, _nodes(condition))), None):
            raise UserError(
                f"{self._option()} contains {found}; a condition may use columns, literals, operators and functions of a row"
            )
        return dict(condition)

    def _objection(self, node: dict[str, Any]) -> str | None:
        """Why an expression of the tree is not allowed; None if it is."""
        if (name := node.get("function_name")) is not None:
            kinds = self._connection.execute(_FUNCTION, [name]).fetchall()
            if kinds and not any(kind in ("scalar", "macro") for kind, _ in kinds):
                return f"{name}(), which uses more than one row"
            if kinds and not any(stability in ("CONSISTENT", None) for _, stability in kinds):
                return f"{name}(), which may return another value every time"
        return _FORBIDDEN.get(node["class"])


def _nodes(tree: Any) -> Iterator[dict[str, Any]]:
    """All expressions in a parse tree."""
    if isinstance(tree, dict):
        if "class" in tree:
            yield tree
        for child in tree.values():
            yield from _nodes(child)
    elif isinstance(tree, list):
        for child in tree:
            yield from _nodes(child)


def _columns(tree: dict[str, Any]) -> Iterator[str]:
    yield from (node["column_names"][0] for node in _nodes(tree) if node["class"] == "COLUMN_REF")


def _literal(found: re.Match[str], names: Sequence[str]) -> str:
    """A double-quoted word as a string literal, unless it is the name of a column; strings are left as they are."""
    text, word = found.groups()
    if text is not None or word.replace('""', '"') in names:
        return found.group()
    return "'" + word.replace('""', '"').replace("'", "''") + "'"
