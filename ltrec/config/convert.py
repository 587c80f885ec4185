"""One value -> the type of its field. OmegaConf's scalar nodes convert ("1e-4" -> float); this file adds lists, choices and null,
and words the refusals. A whole OmegaConf tree for each value would give the same results at fifty times the cost."""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping
from dataclasses import is_dataclass
from functools import cache
from itertools import repeat
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from omegaconf import BooleanNode, FloatNode, IntegerNode, PathNode, StringNode
from omegaconf.errors import OmegaConfBaseException

from ltrec.config.class_paths import FORM, class_path_of
from ltrec.config.source import Setting
from ltrec.core.bounds import OneOf
from ltrec.core.errors import UserError
from ltrec.core.extension.class_path import ClassPath

_SCALARS: dict[type, Callable[[Any], Any]] = {
    bool: BooleanNode(False, is_optional=False).validate_and_convert,
    int: IntegerNode(0, is_optional=False).validate_and_convert,
    float: FloatNode(0.0, is_optional=False).validate_and_convert,
    str: StringNode("", is_optional=False).validate_and_convert,
    Path: PathNode(Path(), is_optional=False).validate_and_convert,
}


class _NoChoice(ValueError):
    """A name that is not among those that a field may be."""


def convert(owner: type, field: str, setting: Setting) -> Any:
    """The setting's value as the type that `field` of the dataclass `owner` is annotated with.

    Raises:
        UserError: it cannot be that type; names key, place, value and the expected type.
    """
    return convert_to(_hints(owner)[field], setting)


def convert_to(hint: Any, setting: Setting) -> Any:
    """The setting's value as a type.

    Raises:
        UserError: as `convert`.
    """
    value = setting.text if _holds_text(hint) else setting.value
    try:
        return _converted(hint, value)
    except _NoChoice as fault:
        raise UserError(f"{setting.key!r} {setting.where} {fault}") from None
    except (OmegaConfBaseException, ValueError, OverflowError):
        shown = repr(setting.value) if len(repr(setting.value)) <= 80 else repr(setting.value)[:77] + "..."
        raise UserError(f"{setting.key!r} {setting.where} must be {describe(hint)}; got {shown}") from None


@cache
def _hints(owner: type) -> dict[str, Any]:
    return get_type_hints(owner)


def _converted(hint: Any, value: Any) -> Any:
    """The value as a type; ValueError where it cannot be, or is NaN, which would slip through every range check."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        (inner,) = (argument for argument in arguments if argument is not type(None))
        return None if value is None else _converted(inner, value)
    if origin is tuple:
        if not isinstance(value, list):
            raise ValueError("not a list")
        kinds = repeat(arguments[0], len(value)) if Ellipsis in arguments else arguments
        return tuple(_converted(kind, element) for kind, element in zip(kinds, value, strict=True))
    if origin is Literal:
        if (fault := OneOf(*arguments).fault(value)) is not None:
            raise _NoChoice(fault)
        return value
    if origin is Mapping:
        if value != {}:
            raise ValueError("not empty")
        return {}
    if hint is ClassPath:
        return class_path_of(value)
    converted = None if value is None else _SCALARS[hint](value)
    if converted is None or converted != converted:
        raise ValueError("null, or not a number")
    return converted


def describe(hint: Any) -> str:
    """A type annotation in words: ``float``, ``int or null``, ``one of 'a', 'b'``, ``a list of int``."""
    arguments = get_args(hint)
    if hint is type(None):
        return "null"
    if get_origin(hint) is Literal:
        return "one of " + ", ".join(repr(choice) for choice in arguments)
    if get_origin(hint) in (Union, types.UnionType):
        return " or ".join(describe(argument) for argument in arguments)
    if get_origin(hint) is list or (get_origin(hint) is tuple and Ellipsis in arguments):
        return f"a list of {describe(arguments[0])}"
    if get_origin(hint) is Mapping:
        return f"{'sections' if is_dataclass(arguments[1]) else describe(arguments[1])} by name"
    if get_origin(hint) is tuple:
        return f"a list of {len(arguments)} values ({', '.join(describe(argument) for argument in arguments)})"
    return {str: "text", Path: "a path", bool: "true or false", ClassPath: FORM}.get(hint, getattr(hint, "__name__", str(hint)))


def _holds_text(hint: Any) -> bool:
    """Whether every scalar that the field can hold is text."""
    inner = [argument for argument in get_args(hint) if argument not in (Ellipsis, type(None))]
    if get_origin(hint) is Literal:
        return all(isinstance(choice, str) for choice in inner)
    return all(map(_holds_text, inner)) if inner else hint in (str, Path)
