"""CSV, TSV and similar formats: every line is a row (except with `quoting=multiline`), a reject, or empty.

pyarrow parses blocks of lines. It would treat a stray quote as the start of a field that continues over any number of lines, so
lines with quotes are first checked against this grammar, with a regular expression:

    field = "..." with quotes doubled inside, or text without separators whose first character, after blanks, is not a quote
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from ltrec.core.errors import UserError
from ltrec.data.prepare.config import PrepareConfig
from ltrec.data.prepare.readers.dialect import Dialect, find_dialect, plain_name
from ltrec.data.prepare.readers.lines import LONGEST_LINE, TextBlock, line_blocks
from ltrec.data.prepare.readers.sources import InputFile
from ltrec.data.prepare.readers.table import OnBadRow

STRAY_QUOTE = "stray quote"
PEEK_LINES = 100
_NEWLINE = b"\n"


def text_names(source: InputFile, config: PrepareConfig) -> Sequence[str]:
    """The names in the header, or those of the option `columns`; none if the file has no lines.

    Raises:
        UserError: the file has a header and `columns` is set.
    """
    dialect, first, _ = _begin(source, config)
    header = dialect.fields(first[0]) if first else ()
    if config.columns and {config.user, config.item} <= {plain_name(name) for name in header}:
        raise UserError(f"{source.path} has a header ({', '.join(header)}); leave out `columns`")
    return config.columns or header


def read_text(
    source: InputFile, config: PrepareConfig, names: Sequence[str], chosen: Mapping[str, int], on_bad_row: OnBadRow
) -> Iterator[pa.RecordBatch]:
    """Batches of bytes; `chosen` maps a name in the batch to the index of a column in the file."""
    dialect, _, blocks = _begin(source, config)
    if not config.columns:
        blocks = _without_header(blocks)
    if dialect.multiline:
        blocks = _whole_records(blocks, source)
    for block in blocks:
        rows, good = _well_formed(block, dialect, on_bad_row)
        if good:
            yield _parse(rows, good, dialect, len(names), chosen, on_bad_row)


def _begin(source: InputFile, config: PrepareConfig) -> tuple[Dialect, list[str], Iterator[TextBlock]]:
    """The file's dialect, its first lines, and all its blocks, including those read to find the dialect."""
    blocks, seen, first = line_blocks(source.path), list[TextBlock](), list[str]()
    count = PEEK_LINES if config.columns else 1
    while len(first) < count and (block := next(blocks, None)) is not None:
        seen.append(block)
        lines = block.split()[1].slice(0, count - len(first))
        first += [line.decode("utf-8", "replace") for line in lines.to_pylist()]
    return find_dialect(config, source.format, first), first, chain(seen, blocks)


def _without_header(blocks: Iterator[TextBlock]) -> Iterator[TextBlock]:
    """All lines after the first non-empty one."""
    for block in blocks:
        numbers, lines = block.split()
        if len(lines) > 1:
            start = int(numbers[1])
            yield TextBlock(start, b"".join(block.text.splitlines(keepends=True)[start - block.first :]))
        if len(lines):
            break
    yield from blocks


def _whole_records(blocks: Iterator[TextBlock], source: InputFile) -> Iterator[TextBlock]:
    """Blocks that end outside quoted fields, that is, after an even number of quotes. The last block ends with the file.

    Raises:
        UserError: a quoted field is longer than a line may be.
    """
    number, carry = 1, b""
    for block in blocks:
        number, text = (number, carry + block.text) if carry else (block.first, block.text)
        lines = text.splitlines(keepends=True)
        open_after = np.cumsum([line.count(b'"') for line in lines]) % 2
        whole = int(np.max(np.flatnonzero(open_after == 0), initial=-1)) + 1
        carry = b"".join(lines[whole:])
        if whole:
            yield TextBlock(number, b"".join(lines[:whole]))
            number += whole
        if len(carry) > LONGEST_LINE:
            raise UserError(
                f"{source.path}: the quoted field that begins in line {number} does not end within {LONGEST_LINE >> 20} MiB"
            )
    if carry:
        yield TextBlock(number, carry)


def _well_formed(block: TextBlock, dialect: Dialect, on_bad_row: OnBadRow) -> tuple[npt.NDArray[np.int64], bytes]:
    """Numbers and text of the rows of a block that match the grammar; other rows are reported."""
    quoted = dialect.quoted and b'"' in block.text
    if not quoted and not block.text.startswith(_NEWLINE) and b"\n\n" not in block.text:
        return np.arange(block.first, block.first + block.text.count(_NEWLINE)), dialect.plain(block.text)
    numbers, lines = block.split()
    if quoted:
        fits = _fits(lines, dialect)
        if dialect.multiline and not fits.all():
            numbers, lines = _records(block, dialect)
            fits = _fits(lines, dialect)
        for number, line in zip(numbers[~fits].tolist(), lines.filter(pa.array(~fits)).to_pylist(), strict=True):
            on_bad_row(number, STRAY_QUOTE, line.decode("utf-8", "replace"))
        numbers, lines = numbers[fits], lines.filter(pa.array(fits))
    return numbers, dialect.plain(_NEWLINE.join([*lines.to_pylist(), b""]))


def _fits(lines: pa.Array, dialect: Dialect) -> npt.NDArray[np.bool_]:
    """Whether each line matches the grammar."""
    plain = lines if len(dialect.separator) == 1 else pa.array([dialect.plain(line) for line in lines.to_pylist()], lines.type)
    fits = pc.match_substring_regex(plain, _grammar(dialect.character))
    return np.asarray(fits.to_numpy(zero_copy_only=False), dtype=bool)


def _records(block: TextBlock, dialect: Dialect) -> tuple[npt.NDArray[np.int64], pa.Array]:
    """Records of one or more lines, numbered by their first line. Lines that do not form a valid record together are left
    single."""
    lines = block.text[:-1].split(_NEWLINE)
    open_after = np.cumsum([line.count(b'"') for line in lines]) % 2
    starts = np.flatnonzero(np.concatenate([[0], open_after[:-1]]) == 0)
    ends = np.append(starts[1:], len(lines))
    joined = pa.array([_NEWLINE.join(lines[a:b]) for a, b in zip(starts.tolist(), ends.tolist(), strict=True)], pa.large_binary())
    alone = np.repeat(~_fits(joined, dialect), ends - starts)
    firsts = np.flatnonzero(alone | np.isin(np.arange(len(lines)), starts))
    texts = [_NEWLINE.join(lines[a:b]) for a, b in zip(firsts.tolist(), [*firsts.tolist()[1:], len(lines)], strict=True)]
    kept = np.array([bool(text) for text in texts], dtype=bool)
    return block.first + firsts[kept], pa.array([text for text in texts if text], pa.large_binary())


def _grammar(separator: str) -> str:
    s = re.escape(separator)
    field = rf'(?:"(?:[^"]|"")*"| *[^" {s}][^{s}]*| *)'
    return rf"(?s)^{field}(?:{s}{field})*$"


def _parse(
    rows: npt.NDArray[np.int64], text: bytes, dialect: Dialect, width: int, chosen: Mapping[str, int], on_bad_row: OnBadRow
) -> pa.RecordBatch:
    """Well-formed rows as a batch of bytes, without those with another number of fields.

    pyarrow passes a row with another number of fields as text, which fails if it is not UTF-8; a block that is not UTF-8 is
    therefore parsed as Latin-1, where every byte is a character.
    """
    wrong: list[int] = []
    plain = _is_utf8(text)
    text = text if plain else text.decode("latin-1").encode("utf-8")

    def skip(row: pa_csv.InvalidRow) -> str:
        wrong.append(row.number - 1)
        shown = row.text if plain else row.text.encode("latin-1").decode("utf-8", "replace")
        on_bad_row(int(rows[row.number - 1]), f"{row.actual_columns} fields instead of {row.expected_columns}", shown)
        return "skip"

    names = [str(place) for place in range(width)]
    wanted = {name: names[place] for name, place in chosen.items()}
    table = pa_csv.read_csv(
        pa.BufferReader(text),
        read_options=pa_csv.ReadOptions(use_threads=False, block_size=len(text) + 1, column_names=names),
        parse_options=pa_csv.ParseOptions(
            delimiter=dialect.character,
            quote_char='"' if dialect.quoted else False,
            newlines_in_values=dialect.multiline,
            ignore_empty_lines=False,
            invalid_row_handler=skip,
        ),
        convert_options=pa_csv.ConvertOptions(
            column_types=dict.fromkeys(wanted.values(), pa.binary()), include_columns=list(dict.fromkeys(wanted.values()))
        ),
    ).combine_chunks()
    columns = {name: _bytes_of(table[place].combine_chunks(), plain) for name, place in wanted.items()}
    return pa.RecordBatch.from_pydict({"row": pa.array(np.delete(rows, wrong)), **columns})


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _bytes_of(column: pa.Array, plain: bool) -> pa.Array:
    """The original bytes of the file."""
    if plain:
        return column
    return pa.array([None if v is None else v.decode("utf-8").encode("latin-1") for v in column.to_pylist()], pa.binary())
