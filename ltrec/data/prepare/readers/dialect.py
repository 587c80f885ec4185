r"""How a text log separates and quotes its fields: given by options, or detected from its first lines.

A separator may have several characters (MovieLens uses ``::``); a blank stands for any number of blanks. Of the common separators,
the one that yields the expected columns in the header is chosen; without a header (`columns`), the one with which most of the first
lines have the expected number of fields.

A quoted field must end on its line; otherwise a stray quote would swallow all rows up to the next one. `quoting=multiline` is for
logs with line breaks inside texts, `quoting=none` for logs in which quotes are ordinary characters.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ltrec.data.prepare.config import PrepareConfig

UNIT = "\x1f"
"""Replaces a separator of several characters while a line is parsed (the ASCII unit separator)."""

BLANK = " "
_NAMED = {r"\t": "\t", "tab": "\t", "blank": BLANK, "space": BLANK}
_USUAL = {"csv": ",", "tsv": "\t"}
_SNIFFED = (",", "\t", ";", "|", "::", BLANK)


@dataclass(frozen=True, slots=True)
class Dialect:
    """Separator and quoting of a text file."""

    separator: str
    quoted: bool
    multiline: bool = False

    @property
    def character(self) -> str:
        """The character that separates fields in `plain` text."""
        return self.separator if len(self.separator) == 1 else UNIT

    def plain(self, text: bytes) -> bytes:
        """The text with every separator replaced by `character`."""
        if self.separator == BLANK:
            return re.sub(rb"(?m)^ +| +$|( ) +", rb"\1", text)
        return text if len(self.separator) == 1 else text.replace(self.separator.encode(), UNIT.encode())

    def fields(self, line: str) -> list[str]:
        """The fields of one line, parsed leniently; for headers."""
        quoting: dict[str, Any] = {"quotechar": '"'} if self.quoted else {"quoting": csv.QUOTE_NONE}
        text = self.plain(line.encode("utf-8", "surrogateescape")).decode("utf-8", "surrogateescape")
        csv.field_size_limit(1 << 30)  # the default limit is 128 KiB per field
        return next(csv.reader(io.StringIO(text), delimiter=self.character, **quoting), [])


def separator_named(text: str) -> str:
    r"""The separator that an option means: `\t`, `tab`, `blank` and `space` are names; anything else is the separator itself."""
    return _NAMED.get(text, text)


def find_dialect(config: PrepareConfig, log_format: str, lines: list[str]) -> Dialect:
    """The dialect of a file that begins with `lines`; what the options leave open is detected.

    If no common separator yields the columns, the format's default is returned, so that the error message can show what it yields.
    """
    candidates = list(_candidates(config, log_format))
    if len(candidates) == 1 or not lines:
        return candidates[0]
    if config.columns:
        wide = [sum(len(dialect.fields(line)) == len(config.columns) for line in lines) for dialect in candidates]
        return candidates[wide.index(max(wide))]
    wanted = {config.user, config.item} | ({config.time} if config.time != "order" else set())
    shown = [len(wanted & {plain_name(name) for name in dialect.fields(lines[0])}) for dialect in candidates]
    return candidates[shown.index(max(shown))]


def plain_name(name: str) -> str:
    """A column's name without the type in headers such as ``user_id:token``."""
    return name.split(":")[0].strip()


def _candidates(config: PrepareConfig, log_format: str) -> Iterator[Dialect]:
    """Dialects that the options allow, the most likely first."""
    own = _USUAL[log_format]
    separators = [separator_named(config.delimiter)] if config.delimiter else [own, *(s for s in _SNIFFED if s != own)]
    for separator in separators:
        if config.quoting == "auto":
            likely = log_format == "csv"
            yield from (Dialect(separator, likely), Dialect(separator, not likely))
        else:
            yield Dialect(separator, config.quoting != "none", config.quoting == "multiline")
