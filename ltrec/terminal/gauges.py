"""Words of progress that fit a width: a gauge, a duration, and as many parts of a line as there is room for."""

from __future__ import annotations

from collections.abc import Sequence

GAP = "  "
_LONGEST_GAUGE = 40
_SHORTEST_GAUGE = 5


def fitted(parts: Sequence[str], width: int) -> str:
    """The first parts that fit into a width, two blanks between them; the first always."""
    line = parts[0]
    for part in parts[1:]:
        if len(line) + len(GAP) + len(part) > width:
            break
        line += GAP + part
    return line


def gauged(lead: str, share: float, tails: Sequence[str], width: int, *, ascii_only: bool = False) -> str:
    """A lead, a gauge that takes the room there is, and the longest tail that leaves it some.

    Args:
        lead: before the gauge.
        share: done, from 0 to 1.
        tails: what to put behind it, the fullest first.
        width: of the terminal.
        ascii_only: it shows nothing else.
    """
    room = width - 1
    for tail in tails:
        gauge = room - len(lead) - len(tail) - 2
        if gauge >= _SHORTEST_GAUGE:
            return f"{lead} {drawn(share, min(gauge, _LONGEST_GAUGE), ascii_only=ascii_only)} {tail}"
    return f"{lead} {tails[-1]}"


def drawn(share: float, length: int, *, ascii_only: bool = False) -> str:
    """A gauge of so many cells."""
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
