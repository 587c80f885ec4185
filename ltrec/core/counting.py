"""Counts as people read them: `1 event`, `1,024 events`."""

from __future__ import annotations


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """The number with its noun, which takes an s (or `plural`) unless the number is 1."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def of_range(name: str, noun: str) -> str:
    """A range of counts such as ``1``, ``5-8`` or ``21+`` with its noun: only the range that is 1 alone is singular."""
    return f"{name} {noun if name == '1' else noun + 's'}"
