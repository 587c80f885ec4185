"""A mapping of a config as a `ClassPath`, its arguments plain values only: no code, no interpolation, no non-finite number."""

from __future__ import annotations

import math
from typing import Any

from ltrec.core.extension.class_path import ClassPath

FORM = "{class_path: package.module.Class, init_args: {...}}"
"""How it is written."""


def class_path_of(value: Any) -> ClassPath:
    """The mapping as a class path with arguments.

    Raises:
        ValueError: it has another form.
    """
    if not isinstance(value, dict) or not {"class_path"} <= value.keys() <= {"class_path", "init_args"}:
        raise ValueError("not a class path")
    path, arguments = value["class_path"], value.get("init_args") or {}
    if not isinstance(path, str) or not isinstance(arguments, dict) or not all(isinstance(key, str) for key in arguments):
        raise ValueError("not a class path")
    _refuse_odd(arguments)
    return ClassPath(path, arguments)


def _refuse_odd(value: Any) -> None:
    """Only what YAML's core types hold and a run folder's config may."""
    if isinstance(value, dict | list):
        for element in value.values() if isinstance(value, dict) else value:
            _refuse_odd(element)
    elif isinstance(value, str):
        if "${" in value or value == "???":
            raise ValueError("an interpolation")
    elif not (value is None or isinstance(value, bool | int) or (isinstance(value, float) and math.isfinite(value))):
        raise ValueError("no plain value")
