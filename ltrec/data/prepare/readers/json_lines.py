"""JSON Lines: one object per line. pyarrow splits the lines (its JSON reader stops at the first bad one), DuckDB parses them."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from ltrec.core.errors import UserError
from ltrec.data.prepare.config import PrepareConfig
from ltrec.data.prepare.readers.table import OnFault, batch_of_text, find_column, wanted_columns
from ltrec.data.prepare.readers.text import BLOCK_BYTES, Faults
from ltrec.data.prepare.sources import Source

PEEK_LINES = 1000
"""Objects may leave out a field; a column counts as missing when none of the first lines has it."""

_PARSE = """
SELECT row, line, coalesce(json_type(json) = 'OBJECT', false) AS valid,
       {user_id} AS user_id, {item_id} AS item_id, {time} AS time
FROM (SELECT row, line, CASE WHEN json_valid(line) THEN line::JSON END AS json FROM lines)
"""


def read_json_lines(source: Source, config: PrepareConfig, on_fault: OnFault) -> Iterator[pa.RecordBatch]:
    """Batches of one JSON Lines file; ids may be strings or numbers."""
    query = _query(source, config)
    with duckdb.connect(config={"threads": 1, "autoinstall_known_extensions": False}) as parser:
        for rows, lines in _lines(source, on_fault):
            parser.register("lines", pa.Table.from_batches([batch_of_text(rows, {"line": lines}, on_fault)]))
            yield from _without_faults(parser.sql(query).to_arrow_table(), on_fault)


def _query(source: Source, config: PrepareConfig) -> str:
    names = _names(source)

    def field(wanted: str) -> str:
        path = f"$.{json.dumps(find_column(wanted, names, source.path), ensure_ascii=False)}".replace("'", "''")
        return (
            f"CASE WHEN json_type(json, '{path}') NOT IN ('OBJECT', 'ARRAY', 'NULL') THEN json_extract_string(json, '{path}') END"
        )

    return _PARSE.format(**{name: field(wanted) for name, wanted in wanted_columns(config).items()})


def _without_faults(parsed: pa.Table, on_fault: OnFault) -> Iterator[pa.RecordBatch]:
    bad = parsed.filter(pc.invert(parsed["valid"]))
    for row, line in zip(bad["row"].to_pylist(), bad["line"].to_pylist(), strict=True):
        on_fault(row, "not a JSON object", line)
    yield from parsed.filter(parsed["valid"]).select(["row", "user_id", "item_id", "time"]).to_batches()


def _lines(source: Source, on_fault: OnFault) -> Iterator[tuple[pa.Array, pa.Array]]:
    """Line numbers and raw lines: a table of one column whose separator, a bare control character, is invalid in JSON."""
    faults = Faults(on_fault)
    with pa.input_stream(str(source.path), compression="detect") as raw:
        reader = pa_csv.open_csv(
            raw,
            read_options=pa_csv.ReadOptions(use_threads=False, block_size=BLOCK_BYTES, column_names=["line"]),
            parse_options=pa_csv.ParseOptions(delimiter="\x01", quote_char=False, invalid_row_handler=faults),
            convert_options=pa_csv.ConvertOptions(column_types={"line": pa.binary()}),
        )
        next_row = 1
        for batch in reader:
            rows = faults.number(next_row, batch.num_rows)
            next_row = int(rows[-1]) + 1 if len(rows) else next_row
            yield pa.array(rows), batch["line"]


def _names(source: Source) -> list[str]:
    """Names used by the first objects."""
    names: dict[str, None] = {}
    with pa.input_stream(str(source.path), compression="detect") as raw:
        for _, line in zip(range(PEEK_LINES), io.TextIOWrapper(raw, "utf-8", errors="replace"), strict=False):
            try:
                value = json.loads(line)
            except ValueError:
                continue
            names.update(dict.fromkeys(value if isinstance(value, dict) else ()))
    if not names:
        raise UserError(f"{source.path} holds no JSON objects, one per line")
    return list(names)
