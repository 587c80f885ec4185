"""JSON -> dataclasses, checking everything: types, bounds (`core.bounds`), missing and unknown keys, and each class's own rules.

A digest shows that a file is unchanged, not that it makes sense. What is built here has the types that its annotations promise,
all the way down, so no reader needs to check again.
"""

from __future__ import annotations

import math
import types
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints, is_typeddict

from ltrec.core.bounds import Between, OneOf, shown

T = TypeVar("T")
_WORDS = {int: "a whole number", float: "a number", str: "text", bool: "true or false", dict: "an object", type(None): "null"}


def construct(owner: type[T], value: Any, place: str = "") -> T:
    """An instance of a dataclass from what JSON gave for it.

    Raises:
        ValueError: naming the key, what it should be and what it is.
    """
    made: T = _build(owner, value, place)
    return made


def _build(hint: Any, value: Any, place: str) -> Any:
    origin = _origin(hint)
    if origin is None and hint in _WORDS and hint is not dict:
        return _typed(hint, value, place)
    if hint is Any:
        return value
    if origin is Annotated:
        return _annotated(hint, value, place)
    if origin in (Union, types.UnionType):
        return _one_of(get_args(hint), value, place)
    if origin is tuple:
        return _list(get_args(hint), value, place)
    if origin is Literal:
        if (fault := OneOf(*get_args(hint)).fault(value)) is not None:
            raise ValueError(f"{place} {fault}")
        return value
    if origin is dict:
        element = get_args(hint)[1]
        return {key: _build(element, inner, _join(place, key)) for key, inner in _typed(dict, value, place).items()}
    if is_dataclass(hint) or is_typeddict(hint):
        return _record(hint, _typed(dict, value, place), place)
    return _typed(hint, value, place)


def _typed(kind: Any, value: Any, place: str) -> Any:
    right = isinstance(value, kind) and not (kind is int and isinstance(value, bool))
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        right, value = True, float(value) if abs(value) < 2**53 else math.inf
    if not right or (kind is float and not math.isfinite(value)):
        raise ValueError(f"{place or 'it'} must be {_WORDS.get(kind, kind.__name__)}; got {shown(value)}")
    if kind is str and ("\0" in value or any("\ud800" <= c <= "\udfff" for c in value)):
        raise ValueError(f"{place or 'it'} holds what no text may hold: {shown(value)}")
    return value


def _annotated(hint: Any, value: Any, place: str) -> Any:
    made = _build(get_args(hint)[0], value, place)
    for mark in hint.__metadata__:
        if is_typeddict(mark):  # a dict of which some keys are known
            _record(mark, made, place, others=True)
        elif isinstance(mark, Between | OneOf) and (fault := mark.fault(made)):
            raise ValueError(f"{place} {fault}")
    return made


def _one_of(choices: tuple[Any, ...], value: Any, place: str) -> Any:
    faults = []
    for choice in choices:
        try:
            return _build(choice, value, place)
        except ValueError as error:
            faults.append(str(error))
    raise ValueError(faults[0])


def _list(kinds: tuple[Any, ...], value: Any, place: str) -> tuple[Any, ...]:
    length = None if kinds[-1] is Ellipsis else len(kinds)
    if not isinstance(value, list | tuple) or length not in (None, len(value)):
        raise ValueError(f"{place} must be a list{f' of {length}' if length else ''}; got {shown(value)}")
    each = [kinds[0]] * len(value) if kinds[-1] is Ellipsis else kinds
    return tuple(_build(kind, inner, f"{place}[{number}]") for number, (kind, inner) in enumerate(zip(each, value, strict=True)))


def _record(owner: Any, value: dict[str, Any], place: str, *, others: bool = False) -> Any:
    hints, needed = _hints(owner), _needed(owner)
    if missing := needed - value.keys():
        raise ValueError(f"{_join(place, min(missing))} is missing")
    if not others and (unknown := value.keys() - hints.keys()):
        raise ValueError(f"{_join(place, min(unknown))} is not known")
    made = {name: _build(hints[name], inner, _join(place, name)) for name, inner in value.items() if name in hints}
    if is_typeddict(owner):
        return {**value, **made}
    try:
        return owner(**made)
    except ValueError as error:
        raise ValueError(f"{place}: {error}" if place else str(error)) from None


def _join(place: str, name: str) -> str:
    return f"{place}.{name}" if place else name


@cache
def _hints(owner: type) -> dict[str, Any]:
    """The annotations of what may be given, by name."""
    hints = get_type_hints(owner, include_extras=True)
    return hints if is_typeddict(owner) else {f.name: hints[f.name] for f in fields(owner) if f.init}


@cache
def _needed(owner: Any) -> frozenset[str]:
    if is_typeddict(owner):
        return frozenset(owner.__required_keys__)
    return frozenset(f.name for f in fields(owner) if f.init and f.default is MISSING)


@cache
def _origin(hint: Any) -> Any:
    return get_origin(hint)
