"""JSON Lines: one object per line, parsed by DuckDB (pyarrow's JSON reader stops at the first bad line)."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain, islice

import pyarrow as pa
import pyarrow.compute as pc

from ltrec.core.columns import ITEM_PREFIX as ITEM
from ltrec.core.errors import UserError
from ltrec.data.prepare.config import PrepareConfig
from ltrec.data.prepare.database import identifier, quoted, small_database
from ltrec.data.prepare.readers.lines import line_blocks
from ltrec.data.prepare.readers.sources import InputFile
from ltrec.data.prepare.readers.table import OnBadRow, as_text

PEEK_LINES = 1000
"""Objects may leave out a field; a column is missing if none of the first lines has it."""

_KEYS = """
SELECT unnest(json_keys(line))
FROM (SELECT CASE WHEN json_valid(line) AND json_type(line) = 'OBJECT' THEN line END AS line FROM lines)
"""

_PARSE = """
SELECT row, line, coalesce(json_type(json) = 'OBJECT', false) AS valid{fields}
FROM (SELECT row, line, CASE WHEN json_valid(line) THEN line::JSON END AS json FROM lines)
"""


def json_names(source: InputFile, config: PrepareConfig) -> Sequence[str]:
    """Keys of the first objects; none if the file has no lines.

    Raises:
        UserError: none of the first lines is an object.
    """
    lines = chain.from_iterable(block.split()[1] for block in line_blocks(source.path))
    first = [line.as_py().decode("utf-8", "replace") for line in islice(lines, PEEK_LINES)]
    with small_database() as parser:
        parser.register("lines", pa.table({"line": pa.array(first, pa.string())}))
        names = list(dict.fromkeys(name for (name,) in parser.execute(_KEYS).fetchall()))
    if first and not names:
        raise UserError(f"{source.path} is not JSON Lines: none of its first lines is an object")
    return names


def read_json_lines(
    source: InputFile, config: PrepareConfig, names: Sequence[str], chosen: Mapping[str, int], on_bad_row: OnBadRow
) -> Iterator[pa.RecordBatch]:
    """Batches of text; ids may be strings or numbers, and an object or a list in place of one becomes null."""
    query = _PARSE.format(
        fields="".join(f", {_read_as(name)(names[place])} AS {identifier(name)}" for name, place in chosen.items())
    )
    with small_database() as parser:
        for block in line_blocks(source.path):
            rows, lines = block.split()
            texts = as_text(pa.RecordBatch.from_pydict({"row": rows, "line": lines.cast(pa.binary())}), on_bad_row)
            parser.register("lines", pa.Table.from_batches([texts]))
            yield from _without_bad_rows(parser.sql(query).to_arrow_table(), on_bad_row)


def _read_as(name: str) -> Callable[[str], str]:
    """How a column is taken out of an object, by what the batch calls it."""
    return _time if name == "time" else _listed if name.startswith(ITEM) else _field


def _listed(name: str) -> str:
    """SQL: the scalar as text, or a list as JSON."""
    pointer = _pointer(name)
    return f"CASE WHEN json_type(json, {pointer}) = 'ARRAY' THEN json_extract(json, {pointer})::VARCHAR ELSE {_field(name)} END"


def _pointer(name: str) -> str:
    return quoted("/" + name.replace("~", "~0").replace("/", "~1"))


def _field(name: str) -> str:
    """SQL: the scalar under a key of the object, as text. Uses a JSON pointer, because in a JSON path a key such as ``*`` is a
    pattern."""
    pointer = _pointer(name)
    kind = f"json_type(json, {pointer})"
    text = f"json_extract_string(json, {pointer})"
    return f"CASE WHEN {kind} NOT IN ('OBJECT', 'ARRAY', 'NULL') THEN {text} END"


def _time(name: str) -> str:
    """SQL: the same with all decimals of a number, which DuckDB would round to a double.

    They are searched in the text of the line, and used if they are the same double, so that another field with the same name in the
    line is not confused with it.
    """
    value = _field(name)
    pattern = quoted(re.escape(json.dumps(name, ensure_ascii=False)) + r"\s*:\s*([0-9]+\.[0-9]+)")
    same = f"lambda x: TRY_CAST(x AS DOUBLE) = TRY_CAST({value} AS DOUBLE)"
    written = f"list_distinct(list_filter(regexp_extract_all(line, {pattern}, 1), {same}))"
    return f"CASE WHEN length({value}) > 15 AND len({written}) = 1 THEN {written}[1] ELSE {value} END"


def _without_bad_rows(parsed: pa.Table, on_bad_row: OnBadRow) -> Iterator[pa.RecordBatch]:
    bad = parsed.filter(pc.invert(parsed["valid"]))
    for row, line in zip(bad["row"].to_pylist(), bad["line"].to_pylist(), strict=True):
        on_bad_row(row, "not a JSON object", line)
    yield from parsed.filter(parsed["valid"]).drop_columns(["line", "valid"]).to_batches()
