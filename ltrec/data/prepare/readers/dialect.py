r"""How a text log separates and quotes its fields: given by the config, or found from its first line.

A separator may be of several characters (MovieLens has ``::``); a blank stands for any number of blanks. Which of the usual ones a
file uses is found from its header: the one that yields the columns named in the config. Without a header (`columns`) it is the one
with which most of the first lines have as many fields as there are names.

A quoted field ends on its line, for a stray quote would otherwise swallow all rows up to the next. `quoting=multiline` is for logs
whose texts really hold line breaks, `quoting=none` for those whose quotes are plain characters.
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
"""Stands for a separator of several characters while a line is parsed: the ASCII control character made for it."""

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
        """The one character that separates fields in `plain` text."""
        return self.separator if len(self.separator) == 1 else UNIT

    def plain(self, text: bytes) -> bytes:
        """The text with every separator as one `character`."""
        if self.separator == BLANK:
            return re.sub(rb"(?m)^ +| +$|( ) +", rb"\1", text)
        return text if len(self.separator) == 1 else text.replace(self.separator.encode(), UNIT.encode())

    def fields(self, line: str) -> list[str]:
        """The fields of one line, leniently: for headers."""
        quoting: dict[str, Any] = {"quotechar": '"'} if self.quoted else {"quoting": csv.QUOTE_NONE}
        text = self.plain(line.encode("utf-8", "surrogateescape")).decode("utf-8", "surrogateescape")
        csv.field_size_limit(1 << 30)  # the module's own limit is 128 KiB a field
        return next(csv.reader(io.StringIO(text), delimiter=self.character, **quoting), [])


def separator_named(text: str) -> str:
    r"""The separator that a setting means: `\t`, `tab`, `blank` and `space` are names, the rest stands for itself."""
    return _NAMED.get(text, text)


def find_dialect(config: PrepareConfig, log_format: str, lines: list[str]) -> Dialect:
    """The dialect of a file that begins with `lines`; what the config leaves open is found out.

    When no usual separator shows the columns, the format's own is returned, so that a complaint can show what was found.
    """
    candidates = list(_candidates(config, log_format))
    if len(candidates) == 1 or not lines:
        return candidates[0]
    if config.columns:
        wide = [sum(len(dialect.fields(line)) == len(config.columns) for line in lines) for dialect in candidates]
        return candidates[wide.index(max(wide))]
    asked = {config.user, config.item} | ({config.time} if config.time != "order" else set())
    shown = [len(asked & {plain_name(name) for name in dialect.fields(lines[0])}) for dialect in candidates]
    return candidates[shown.index(max(shown))]


def plain_name(name: str) -> str:
    """A column's name without the type of a header such as ``user_id:token``."""
    return name.split(":")[0].strip()


def _candidates(config: PrepareConfig, log_format: str) -> Iterator[Dialect]:
    """Dialects that the config allows, the most likely first."""
    own = _USUAL[log_format]
    separators = [separator_named(config.delimiter)] if config.delimiter else [own, *(s for s in _SNIFFED if s != own)]
    for separator in separators:
        if config.quoting == "auto":
            likely = log_format == "csv"
            yield from (Dialect(separator, likely), Dialect(separator, not likely))
        else:
            yield Dialect(separator, config.quoting != "none", config.quoting == "multiline")
