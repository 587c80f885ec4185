"""Bounds of values, declared beside their fields and checked in one place.

    width: Annotated[int, Between(1, 65_536)] = 64
    schedule: Literal["constant", "linear", "cosine"] = "constant"

    def __post_init__(self) -> None:
        check_fields(self)

Every number of every config has bounds (a house test checks this): an unbounded one can exhaust memory, loop for ever or build a
model that silently has no layers. The same annotations bound what is read from files (`ltrec.core.storage.typed`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

from ltrec.core.errors import nearest

INT32, INT64 = 2**31 - 1, 2**63 - 1


@dataclass(frozen=True, slots=True)
class Between:
    """A number from `low` to `high`; `above` and `below` leave out the end itself. NaN is never inside."""

    low: float
    high: float
    above: bool = False
    below: bool = False

    def fault(self, value: Any) -> str | None:
        """A message about an invalid value, to be read after its name; None if it is valid."""
        if not (value > self.low if self.above else value >= self.low):
            return f"must be {'above' if self.above else 'at least'} {_number(self.low)}; got {shown(value)}"
        if not (value < self.high if self.below else value <= self.high):
            return f"must be {'below' if self.below else 'at most'} {_number(self.high)}; got {shown(value)}"
        return None


class OneOf:
    """One of a few names."""

    def __init__(self, *names: str) -> None:
        self.names = names

    def fault(self, value: Any) -> str | None:
        """A message about an invalid value, to be read after its name; None if it is valid."""
        if value in self.names:
            return None
        return f"must be one of {', '.join(self.names)}; got {shown(value)}{nearest(str(value), self.names)}"


class Among:
    """One of the names that a collection holds at the moment: a registry, which imports may add to."""

    def __init__(self, names: Collection[str]) -> None:
        self.names = names

    def fault(self, value: Any) -> str | None:
        """A message about an invalid value, to be read after its name; None if it is valid."""
        return OneOf(*self.names).fault(value)


Bound = Between | OneOf | Among
SHARE = Between(0, 1)
"""A share, from 0 to 1."""


def check_fields(config: Any) -> None:
    """Check every field of a dataclass that declares bounds; the elements of a tuple one by one, None never.

    Raises:
        ValueError: naming the field, what it may be, and what it is.
    """
    owner: type = type(config)
    for name, bound in bounds_of(owner).items():
        value = getattr(config, name)
        for element in value if isinstance(value, tuple) else (value,):
            if element is not None and (fault := bound.fault(element)):
                raise ValueError(f"{name} {fault}" + (f" in {shown(list(value))}" if isinstance(value, tuple) else ""))


@cache
def bounds_of(owner: type) -> dict[str, Bound]:
    """The bounds of a dataclass's fields (of the elements, where a field holds a list), by field."""
    hints = get_type_hints(owner, include_extras=True)
    return {name: bound for name, hint in hints.items() for bound in _marks(hint)}


def _number(bound: float) -> str:
    """A bound in a message: whole numbers to the last digit."""
    return str(bound) if isinstance(bound, int) else f"{bound:.15g}"


def shown(value: Any) -> str:
    """A value in a message: as Python writes it, long ones cut."""
    try:
        text = repr(value)
    except ValueError:  # an integer of thousands of digits
        return "a number of thousands of digits"
    return text if len(text) <= 80 else text[:77] + "..."


def _marks(hint: Any) -> Iterator[Bound]:
    """The bounds in an annotation, however deep."""
    inner: Iterable[Any] = get_args(hint)
    if get_origin(hint) is Annotated:
        yield from (mark for mark in hint.__metadata__ if isinstance(mark, Bound))
        inner = inner[:1]  # type: ignore[index]
    if get_origin(hint) is Literal:
        yield OneOf(*inner)
        return
    for argument in inner:
        yield from _marks(argument)
