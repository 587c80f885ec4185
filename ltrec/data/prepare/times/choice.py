"""Chooses one form of time per data set from all rows of all files, never per file or per row.

Units since 1970 differ by a factor of 1000, so a number is a plausible date in at most one of them. Digits such as 20231114 and
common text formats are candidates too. The form that fits most rows is chosen, and rows in another form are rejected, never
converted silently: a log that mixes seconds and milliseconds is broken at its source. If the order of day and month cannot be told
because no row has a day above 12, nothing is guessed.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import NamedTuple

from ltrec.core.errors import UserError
from ltrec.data.prepare.config import PrepareConfig
from ltrec.data.prepare.database import small_database
from ltrec.data.prepare.engines.staged import Staged
from ltrec.data.prepare.times.columns import PER_SECOND
from ltrec.data.prepare.times.text import AMBIGUOUS, DIGITS, EXAMPLES, FORMS, digits_as_seconds, nanoseconds, normalised

_ALSO = dict.fromkeys(("valid_from", "test_from"), ", a share of the events such as 0.8 or seconds since 1970")
_SAMPLE = 1000
_LONGEST = 60
_YEARS = "number BETWEEN -62135596800 AND 253402300799"  # 1 to 9999
ENOUGH_ROWS = 1000
"""Reading stops after this many rows if no time could be read."""


class TimeFormat(NamedTuple):
    """A form of time: `name` for messages; `fits` is an SQL condition on staged rows; `in_32_bits` says whether the seconds of rows
    that meet it are 32 bits without a sign."""

    name: str
    per_second: int
    fits: str
    in_32_bits: bool = False


def parse_date(text: str, key: str) -> int:
    """Seconds since 1970 (UTC) of an ISO date or time.

    Raises:
        UserError: it is not one.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise UserError(f"`{key}` must be an ISO date such as 2014-07-01{_ALSO.get(key, '')}; got {text!r}") from None
    return int(moment.replace(tzinfo=moment.tzinfo or UTC).timestamp())


def choose_time(staged: Staged, config: PrepareConfig, untimed: bool = False) -> TimeFormat:
    """The form of the times in `staged`; times in a form of text or digits become seconds there.

    `auto` falls back to `order` if most times are non-negative numbers that no other form fits. If the log is `untimed`, the
    positions of its rows are used.

    Raises:
        UserError: no time can be read, or two forms fit equally well.
    """
    chosen = _choose(staged, config, untimed)
    bounded = parse_date(config.earliest, "earliest") >= 0 and parse_date(config.latest, "latest") <= 1 << 32
    return chosen._replace(in_32_bits=bounded and chosen.name != "order")


def _choose(staged: Staged, config: PrepareConfig, untimed: bool) -> TimeFormat:
    if untimed:
        return TimeFormat("order", 1, "true")
    if not _is_auto(config):
        given = _given(config)
        if not any(staged.count([given.fits])):
            _refuse_unreadable(staged, config)
        return given
    numeric = _numeric_forms(config)
    counts = _count_clear(staged, numeric) or (
        dict(zip(numeric, staged.count(list(numeric.values())), strict=True)) | _count_text_forms(staged, config)
    )
    best = max(counts, key=lambda name: counts[name])
    if not counts[best]:
        _refuse_unreadable(staged, config)
    if best in DIGITS or best in FORMS:
        _refuse_ambiguous(staged, config, best)
        return _convert(staged, config, best)
    fits = numeric[best]
    if best == "order":
        fits = _but_not("NOT iso AND number >= 0", [numeric[unit] for unit in PER_SECOND])
    return TimeFormat(best, PER_SECOND.get(best, 1), fits)


def _refuse_unreadable(staged: Staged, config: PrepareConfig) -> None:
    """Stop with an example of a time that cannot be read.

    Raises:
        UserError: always, unless no row has a time.
    """
    date = f"CASE WHEN iso AND {_YEARS} THEN make_timestamp(number * 1000000)::VARCHAR END"
    shown = staged.first(f"left(coalesce(text, {date}, number::VARCHAR, ''), {_LONGEST})")
    if shown is None:
        return
    option = f" with `time_format`={config.time_format!r}" if config.time_format else f" with `time_unit`={config.time_unit}"
    option, hint = ("", "set `time_format`, or use one of") if _is_auto(config) else (option, "without this option, ltrec reads")
    raise UserError(
        f"column {config.time!r}: {shown!r} is not a time{option}, nor is any value so far; {hint} {EXAMPLES},"
        f" from {config.earliest} to {config.latest}"
    )


def check_readable(staged: Staged, config: PrepareConfig) -> bool:
    """Whether any time of the rows staged so far can be read.

    Raises:
        UserError: none can, and there are at least ENOUGH_ROWS.
    """
    fits = "number IS NOT NULL" if _is_auto(config) else _given(config).fits
    if any(staged.count([fits], first=_SAMPLE)):
        return True
    rows, found = staged.count(["true", fits])
    if not found and rows >= ENOUGH_ROWS and not (_is_auto(config) and any(_count_text_forms(staged, config).values())):
        _refuse_unreadable(staged, config)
    return found > 0


def _is_auto(config: PrepareConfig) -> bool:
    return config.time_unit == "auto" and not config.time_format


def _given(config: PrepareConfig) -> TimeFormat:
    if config.time_format:
        return TimeFormat(config.time_format, 1, _plausible(config, "iso"))
    return TimeFormat(config.time_unit, PER_SECOND.get(config.time_unit, 1), _plausible(config, config.time_unit))


def _numeric_forms(config: PrepareConfig) -> dict[str, str]:
    """Form -> SQL condition, for values that are numbers or dates already; of two that fit equally well, the first is used."""
    forms = {"iso": _plausible(config, "iso")}
    forms |= {form: _within(config, _digits(form), 1) for form in DIGITS}
    forms |= {unit: _plausible(config, unit) for unit in PER_SECOND}
    return forms | {"order": _but_not("NOT iso AND number >= 0", list(forms.values()))}


def _count_clear(staged: Staged, numeric: dict[str, str]) -> dict[str, int]:
    """The first form that fits all rows, with their number; empty if there is none. A form that does not fit all of the first rows
    need not be tried on the others."""
    few, *counts = staged.count(["true", *numeric.values()], first=_SAMPLE)
    clear = next((form for form, count in zip(numeric, counts, strict=True) if count == few), None)
    if clear is None:
        return {}
    rows, fits = staged.count(["true", numeric[clear]])
    return {clear: fits} if rows == fits else {}


def _count_text_forms(staged: Staged, config: PrepareConfig) -> dict[str, int]:
    """Form of text -> number of rows that it fits. Forms that fit no row of a sample are tried on the rows that no other form
    fits."""
    given = "text IS NOT NULL"
    if not any(staged.count(["true"], given)):
        return {}
    fit = {form: _within(config, nanoseconds("normalised", formats), 10**9) for form, formats in FORMS.items()}
    likely: list[str] = []
    for sample in (_SAMPLE, 0):
        left = " OR ".join(fit[form] for form in likely) or "false"
        counts = staged.count(list(fit.values()), given, unless=left, sample=sample)
        likely += [form for form, count in zip(fit, counts, strict=True) if count and form not in likely]
    return dict(zip(likely, staged.count([fit[form] for form in likely], given), strict=True))


def _refuse_ambiguous(staged: Staged, config: PrepareConfig, form: str) -> None:
    """Refuse to guess the order of day and month, and logs in which rows contradict each other."""
    for one, other in AMBIGUOUS:
        if form not in (one, other):
            continue
        a, b = (_condition(config, name) for name in (one, other))
        only_one, only_other = staged.count([f"{a} AND NOT {b}", f"{b} AND NOT {a}"])
        if bool(only_one) == bool(only_other):
            example = staged.first("coalesce(text, number::VARCHAR)", f"{a} OR {b}")
            which = "no row tells which" if not only_one else f"{only_one} rows say one and {only_other} the other"
            formats = [_format_of(name, example) for name in (one, other)]
            raise UserError(
                f"column {config.time!r}: {example!r} may have the month or the day first, {which}; "
                f"set `time_format`='{formats[0]}' or `time_format`='{formats[1]}'"
            )


def _convert(staged: Staged, config: PrepareConfig, form: str) -> TimeFormat:
    """Convert the times that the form fits to seconds."""
    condition = _condition(config, form)
    if form in DIGITS:
        new = {"number": digits_as_seconds("number", form), "iso": "true"}
        if form.endswith("%f"):
            new["fraction"] = f"(number % 1000) * {10**15}"
        staged.convert(new, condition)
        return TimeFormat(form, 1, _plausible(config, "iso"))
    formats = FORMS[form]
    counts = staged.count([f"{nanoseconds('normalised', [name])} IS NOT NULL" for name in formats], condition, first=_SAMPLE)
    common = sorted(zip(counts, formats, strict=True), key=lambda pair: -pair[0])
    format_ = " or ".join(name.replace("%n", "%f") for count, name in common[:2] if count)
    moment = nanoseconds("normalised", formats)
    rest = f"((({moment}) % 1000000000 + 1000000000) % 1000000000)"
    new = {"number": f"(({moment}) - {rest}) // 1000000000", "fraction": f"{rest} * 1000000000", "iso": "true"}
    staged.convert(new, condition)
    return TimeFormat(format_, 1, _plausible(config, "iso"))


def _condition(config: PrepareConfig, form: str) -> str:
    value, scale = (_digits(form), 1) if form in DIGITS else (nanoseconds("normalised", FORMS[form]), 10**9)
    return f"(reason IS NULL AND {_within(config, value, scale)})"


def _digits(form: str) -> str:
    whole = "NOT iso" if form == "%Y%m%d%H%M%S" else "NOT iso AND fraction = 0"
    return f"CASE WHEN {whole} THEN {digits_as_seconds('number', form)} END"


def _format_of(form: str, example: str) -> str:
    if form in DIGITS:
        return form
    with small_database() as parser:
        read = [
            parser.execute(f"SELECT {nanoseconds(normalised('$text'), [name])}", {"text": example}).fetchall()
            for name in FORMS[form]
        ]
    return next(name for name, [(value,)] in zip(FORMS[form], read, strict=True) if value is not None).replace("%n", "%f")


def _plausible(config: PrepareConfig, unit: str) -> str:
    if unit == "order":
        return "(NOT iso AND number IS NOT NULL)"
    return f"({'iso' if unit == 'iso' else 'NOT iso'} AND {_within(config, 'number', PER_SECOND.get(unit, 1))})"


def _within(config: PrepareConfig, value: str, per_second: int) -> str:
    earliest, latest = (parse_date(getattr(config, key), key) * per_second for key in ("earliest", "latest"))
    return f"coalesce(({value}) BETWEEN {earliest} AND {latest - 1}, false)"


def _but_not(condition: str, others: list[str]) -> str:
    return f"({condition} AND NOT ({' OR '.join(others)}))"
