"""One value -> the type of its field. OmegaConf converts ("1e-4" -> float, [5] -> tuple); this file words its refusals."""

from __future__ import annotations

import types
from dataclasses import make_dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from ltrec.config.source import Setting
from ltrec.core.errors import UserError


def convert(owner: type, field: str, setting: Setting) -> Any:
    """The setting's value as the type that `field` of the dataclass `owner` is annotated with.

    Raises:
        UserError: it cannot be that type; names key, place, value and the expected type.
    """
    hint = _hints(owner)[field]
    value = setting.text if _holds_text(hint) else setting.value
    try:
        if not _is_flat(value):
            raise ValueError("OmegaConf would let some nested values through")
        merged: Any = OmegaConf.to_container(OmegaConf.merge(_typed(owner, field), {"value": value}))
        return _without_nan(merged["value"])
    except (OmegaConfBaseException, ValueError, OverflowError):
        shown = repr(setting.value) if len(repr(setting.value)) <= 80 else repr(setting.value)[:77] + "..."
        raise UserError(f"{setting.key!r} {setting.where} must be {describe(hint)}; got {shown}") from None


@cache
def _hints(owner: type) -> dict[str, Any]:
    return get_type_hints(owner)


@cache
def _typed(owner: type, field: str) -> DictConfig:
    """A node that holds just one value of the field's type: merging into a whole section is many times slower."""
    node: DictConfig = OmegaConf.structured(make_dataclass("Typed", [("value", _hints(owner)[field])]))
    return node


def _is_flat(value: Any) -> bool:
    """Whether it is a scalar or a list of scalars: no field holds more."""
    elements = value if isinstance(value, list) else [value]
    return not any(isinstance(element, list | dict) for element in elements)


def _without_nan(value: Any) -> Any:
    """The value; NaN would slip through every range check and make a config unequal to itself."""
    if any(element != element for element in (value if isinstance(value, tuple | list) else [value])):
        raise ValueError("not a number")
    return value


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
    if get_origin(hint) is tuple:
        return f"a list of {len(arguments)} values ({', '.join(describe(argument) for argument in arguments)})"
    return {str: "text", Path: "a path", bool: "true or false"}.get(hint, getattr(hint, "__name__", str(hint)))


def _holds_text(hint: Any) -> bool:
    """Whether every scalar that the field can hold is text."""
    inner = [argument for argument in get_args(hint) if argument not in (Ellipsis, type(None))]
    if get_origin(hint) is Literal:
        return all(isinstance(choice, str) for choice in inner)
    return all(map(_holds_text, inner)) if inner else hint in (str, Path)
