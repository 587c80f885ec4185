"""Text of progress that fits a width: a progress bar, durations, and as many parts of a line as there is room for."""

from __future__ import annotations

from collections.abc import Sequence

GAP = "  "
_MAX_CELLS = 40
_MIN_CELLS = 5


def fit_parts(parts: Sequence[str], width: int) -> str:
    """The leading parts that fit into a width, separated by two blanks; at least the first."""
    line = parts[0]
    for part in parts[1:]:
        if len(line) + len(GAP) + len(part) > width:
            break
        line += GAP + part
    return line


def with_bar(lead: str, share: float, tails: Sequence[str], width: int, *, ascii_only: bool = False) -> str:
    """A lead, a bar that fills the rest of the width, and the longest tail that leaves room for it.

    Args:
        lead: text before the bar.
        share: the share done, 0 to 1.
        tails: alternatives for the text behind the bar, the longest first.
        width: of the terminal.
        ascii_only: whether the terminal shows ASCII only.
    """
    room = width - 1
    for tail in tails:
        cells = room - len(lead) - len(tail) - 2
        if cells >= _MIN_CELLS:
            return f"{lead} {bar(share, min(cells, _MAX_CELLS), ascii_only=ascii_only)} {tail}"
    return f"{lead} {tails[-1]}"


def bar(share: float, length: int, *, ascii_only: bool = False) -> str:
    """A progress bar of `length` cells."""
    full, empty = ("#", "-") if ascii_only else ("━", "╌")
    done = round(min(1.0, max(0.0, share)) * length)
    return full * done + empty * (length - done)


def duration(seconds: float, digits: int = 1) -> str:
    """`9.8 s`, `3:05`, `1:02:03`, `2 days 1:02:03`."""
    if float(f"{seconds:.{digits}f}") < 60:
        return f"{seconds:.{digits}f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    clock = f"{hours}:{minutes:02}:{rest:02}" if hours or days else f"{minutes}:{rest:02}"
    return f"{days} day{'s' if days > 1 else ''} {clock}" if days else clock
