"""The plan of a step as a table: parameters, memory, bytes, operations and seconds, each with its parts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from rich import box
from rich.table import Table
from rich.text import Text

from ltrec.api.plan import StepPlan
from ltrec.core.counting import counted
from ltrec.terminal.screen import Screen

_NEXT_UNIT = 999.5
"""From here on three digits are a thousand, which reads as 1e+03."""

_UNITS = ("B", "kB", "MB", "GB", "TB")


def print_plan(found: StepPlan, screen: Screen) -> None:
    """Print the table, then what was assumed, what does not work, and what helps."""
    screen.show(_table(found))
    for remark in found.remarks:
        screen.say(remark, "dim")
    if found.refused is not None:
        screen.say(f"this run would be refused: {found.refused}", "red")
    if not found.fits:
        screen.say(f"does not fit: {shown_bytes(found.estimate.held)} of {shown_bytes(found.device.memory)}", "red")
    for advice in found.advice:
        fits = "" if advice.fits else ", still too much"
        screen.say(f"  {advice.setting}: {shown_seconds(advice.step)} a step, {shown_bytes(advice.held)} a device{fits}")


def _table(found: StepPlan) -> Table:
    how = f"{found.device.name}, {found.work.mode}, {found.work.engine}"
    title = f"a step on {counted(found.estimate.world, 'process', 'processes')} ({how})"
    table = Table(title=title, title_justify="left", pad_edge=False, box=box.SIMPLE_HEAD, show_header=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value, remark in _lines(found):
        table.add_row(name, value, Text(remark))
    return table


def _lines(found: StepPlan) -> Iterator[tuple[str, str, str]]:
    work, step = found.work, found.estimate
    table = f"item table {work.table:,}, rest {work.dense:,}"
    yield "parameters", f"{work.parameters:,}", table + (f", plugins {work.plugins:,}" if work.plugins else "")
    yield "memory of a device", shown_bytes(step.held), _parts({name: shown_bytes(held) for name, held in step.memory.items()})
    yield "bytes sent by each", shown_bytes(step.sent), _parts({name: shown_bytes(sent) for name, sent in step.traffic.items()})
    yield "operations launched", f"{step.launches:,.0f}", f"{step.flops / 1e9:,.1f} GFLOP of matrix products"
    longest = {name: shown_seconds(seconds) for name, seconds in step.seconds.items() if seconds}
    yield "seconds a step", shown_seconds(step.step), f"most: {step.bottleneck} ({_parts(longest)})"


def _parts(parts: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {value}" for name, value in parts.items())


def shown_bytes(number: float) -> str:
    """A number of bytes in decimal units, three digits."""
    unit = 0
    while number >= _NEXT_UNIT and unit < len(_UNITS) - 1:
        number, unit = number / 1000, unit + 1
    return f"{number:.3g} {_UNITS[unit]}" if number < _NEXT_UNIT else f"{number:,.0f} {_UNITS[unit]}"


def shown_seconds(seconds: float) -> str:
    """Seconds, or milliseconds below one second."""
    return f"{seconds:,.2f} s" if 1e3 * seconds >= _NEXT_UNIT else f"{1e3 * seconds:.3g} ms"
