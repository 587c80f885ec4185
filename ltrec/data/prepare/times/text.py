"""Times as text or digits, other than ISO 8601 and numbers since 1970: forms that are recognised, and `time_format`.

A form is an order of the parts of a date; what follows the date (hours and minutes, seconds with up to nine decimals, AM or PM, an
offset from UTC) is optional. DuckDB's strptime parses; before that, text is normalised: single spaces, no weekday, no comma after a
word, a space before AM, PM and an offset, UTC as +0000. Names of zones other than UTC and GMT are ambiguous (BST, CST) and are only
read with `time_format`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from ltrec.core.errors import UserError, first_line
from ltrec.data.prepare.database import DatabaseError, quoted, small_database

_CLOCKS = (" %H:%M", " %H:%M:%S", " %H:%M:%S.%n", " %I:%M %p", " %I:%M:%S %p")
_DATES = (
    *("%m/%d/%Y", "%d/%m/%Y", "%m-%d-%Y", "%d-%m-%Y", "%m.%d.%Y", "%d.%m.%Y", "%m/%d/%y", "%d/%m/%y", "%m.%d.%y", "%d.%m.%y"),
    *("%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%d %b %Y", "%d %B %Y", "%b %d %Y", "%B %d %Y", "%d-%b-%Y", "%d-%b-%y", "%d/%b/%Y"),
)
FORMS: dict[str, tuple[str, ...]] = {
    **{date: (date, *(date + clock + zone for clock in _CLOCKS for zone in ("", " %z"))) for date in _DATES},
    "%b %d %H:%M:%S %Y": ("%b %d %H:%M:%S %z %Y", "%b %d %H:%M:%S %Y"),
    "%d/%b/%Y:%H:%M:%S": ("%d/%b/%Y:%H:%M:%S %z", "%d/%b/%Y:%H:%M:%S"),
    "%Y%m%dT%H%M%S": tuple(
        f"%Y%m%d{clock}{zone}"
        for clock in ("T%H%M%S", "T%H%M%S.%n", "T%H%M", " %H%M%S", " %H:%M:%S", " %H:%M:%S.%n", " %H:%M")
        for zone in ("", " %z")
    ),
}
"""Form -> its strptime formats. A text matches at most one format of a form."""

DIGITS: dict[str, tuple[int, str]] = {
    "%Y%m%d": (8, "%Y%m%d"),
    "%Y%m%d%H%M": (12, "%Y%m%d%H%M"),
    "%Y%m%d%H%M%S": (14, "%Y%m%d%H%M%S"),
    "%Y%m%d%H%M%S%f": (17, "%Y%m%d%H%M%S%g"),
    "%d%m%Y": (8, "%d%m%Y"),
    "%m%d%Y": (8, "%m%d%Y"),
}
"""Form of an integer -> its number of digits (a leading zero may be lost), and the strptime format."""

AMBIGUOUS = tuple(
    (a, a.replace("%m", "#").replace("%d", "%m").replace("#", "%d")) for a in (*FORMS, *DIGITS) if re.match("%m.?%d", a)
)
"""Pairs of forms that differ in whether the month or the day comes first."""

EXAMPLES = (
    "ISO 8601 (2023-11-14T22:13:20Z), s, ms, us or ns since 1970, 11/14/2023 10:13 PM, 14.11.2023 22:13, 14 Nov 2023 22:13:20"
    " +0000, Tue Nov 14 22:13:20 +0000 2023, 20231114T221320Z, 20231114"
)

_UNUSUAL = r"[A-Za-z(,\x{00a0}\x{202f}\t]|  |:[0-9][0-9][-+]|^ | $"
_BLANKS = r"[\s\x{00a0}\x{202f}]+"
_NORMALISED = ((_BLANKS, " "), (r", |,$", " "), (",", "."), (r"([0-9]) ?([AaPp])[.]?[Mm]\b[.]?", r"\1 \2M"))
_WORDS = ((r"\bSept\b", "Sep"), (r"(?i)^(mon|tue|wed|thu|fri|sat|sun)[a-z]*[., ] *", ""), (r" ?\([^)]*\)$", ""))
_ZONES = (
    (r" ?([+-][0-9]{4}) [A-Z]{3,4}$", r" \1"),
    (r"(UTC|GMT) ?([+-][0-9])", r"\2"),
    (r" ?(UTC|GMT|Z)( [0-9]{4})?$", r" +0000\2"),
    (r"((?::[0-9][0-9]|T[0-9]{4,6})(?:[.][0-9]+)?)([+-][0-9][0-9])", r"\1 \2"),
)


def normalised(column: str) -> str:
    """SQL: normalised text, as the forms expect it; most texts of digits are left as they are."""
    rewritten = _replaced(f"trim({column})", (*_NORMALISED[:1], *_WORDS, *_NORMALISED[1:], *_ZONES))
    return f"CASE WHEN regexp_matches({column}, {quoted(_UNUSUAL)}) THEN {rewritten} ELSE {column} END"


def nanoseconds(text: str, formats: Iterable[str]) -> str:
    """SQL: nanoseconds since 1970 of a normalised text, NULL if no format matches."""
    listed = ", ".join(quoted(name) for name in formats)
    return _nanoseconds_of(f"try_strptime({text}, [{listed}])")


def digits_as_seconds(number: str, form: str) -> str:
    """SQL: seconds since 1970 of an integer whose digits are a date, else NULL; fractions of a second are cut off."""
    length, name = DIGITS[form]
    padded = f"lpad({number}::VARCHAR, {length}, '0')"
    possible = f"{number} BETWEEN {10 ** (length - 2)} AND {10**length - 1}"
    return f"CASE WHEN {possible} THEN epoch_us(try_strptime({padded}, {quoted(name)})) // 1000000 END"


def nanoseconds_by_format(column: str, time_format: str) -> str:
    """SQL: nanoseconds since 1970 of a raw text in the user's format, NULL if it does not match."""
    rules = (*_NORMALISED, *(_ZONES if "%z" in time_format else ()))
    return _nanoseconds_of(f"try_strptime({_replaced(f'trim({column})', rules)}, {quoted(_for_normalised(time_format))})")


def _nanoseconds_of(moment: str) -> str:
    """SQL: nanoseconds since 1970 of a timestamp; NULL for years such as 1 and 9999, which 64 bits do not reach."""
    return f"epoch_ns(TRY_CAST({moment} AS TIMESTAMP_NS))"


def _for_normalised(time_format: str) -> str:
    """The user's format, changed to match normalised text."""
    normalised_format = re.sub(r"\s+", " ", time_format.strip())
    normalised_format = re.sub(r", |,$", " ", normalised_format).replace(",", ".").replace("%f", "%n")
    normalised_format = re.sub(r"(UTC|GMT) ?%z", "%z", normalised_format)
    return re.sub(r"(?<=[^ ])(%p|%z)", r" \1", normalised_format)


def check_format(time_format: str) -> None:
    """Check a format before anything is read.

    Raises:
        UserError: it cannot be parsed, has no year, or only one of %I and %p.
    """
    where = f"`time_format`={time_format!r}"
    if "%s" in time_format:
        raise UserError(f"{where}: seconds since 1970 need no format; use `time_unit`=s instead")
    try:
        with small_database() as parser:
            parser.execute("SELECT try_strptime('', $name)", {"name": _for_normalised(time_format)}).fetchall()
    except DatabaseError as error:
        raise UserError(f"{where} is not a strptime format such as %m/%d/%Y %H:%M: {_reason(error)}") from None
    if not re.search("%-?[YyGcx]", time_format):
        raise UserError(f"{where} has no year; a format is like %m/%d/%Y %H:%M")
    if bool(re.search("%-?I", time_format)) != ("%p" in time_format):
        raise UserError(f"{where}: %I (hours up to 12) and %p (AM or PM) go together; %H is the hour up to 23")


def _reason(error: Exception) -> str:
    return first_line(error).rpartition("Error: ")[2].rpartition(": ")[2]


def _replaced(column: str, rules: Iterable[tuple[str, str]]) -> str:
    for pattern, new in rules:
        column = f"regexp_replace({column}, {quoted(pattern)}, {quoted(new)}, 'g')"
    return column
