"""Settings as a caller gives them (config files, `key=value` overrides, mappings, keyword arguments) in one order of precedence.

    train("conf/experiment/quickstart.yaml", {"optim.lr": 1e-3, "trainer": {"max_epochs": 2}}, name="mine")

Files first, left to right, then mappings and overrides, left to right, then keyword arguments; later ones win.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ltrec.api.session import IN_THE_CALL
from ltrec.config.load import split_arguments
from ltrec.core.errors import UserError

Setting = str | os.PathLike[str] | Mapping[str, Any]
"""A config file, a `key=value` override, or a mapping of settings with dotted or nested keys."""


def files_and_overrides(settings: Sequence[Setting], keywords: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """The arguments of `ltrec.config.load.load`: config files, and everything else as overrides.

    Raises:
        UserError: something that is neither a path nor a mapping, or a value that no config can hold.
    """
    files: list[str] = []
    overrides: list[str] = []
    for setting in settings:
        if isinstance(setting, Mapping):
            overrides += overrides_of(setting)
        elif isinstance(setting, str | os.PathLike):
            new_files, new_overrides = split_arguments([os.fspath(setting)])
            files, overrides = files + new_files, overrides + new_overrides
        else:
            raise UserError(f"{setting!r} is neither a config file nor a mapping of settings such as {{'optim.lr': 1e-3}}")
    return files, overrides + overrides_of(keywords)


def overrides_of(settings: Mapping[str, Any], section: str = "") -> list[str]:
    """A mapping as `key=value` overrides.

    Raises:
        UserError: a value that no config can hold.
    """
    return list(_overrides(settings, section))


def _overrides(settings: Mapping[str, Any], section: str) -> Iterator[str]:
    for name, value in settings.items():
        key = f"{section}.{name}" if section else str(name)
        if isinstance(value, Mapping):
            yield from _overrides(value, key)
        else:
            yield f"{key}={_text(value, key)}"


def _text(value: Any, key: str) -> str:
    """As YAML: JSON, except for non-finite numbers."""
    if isinstance(value, float) and not math.isfinite(value):
        return ".nan" if math.isnan(value) else ".inf" if value > 0 else "-.inf"
    if isinstance(value, list | tuple):
        return f"[{', '.join(_text(element, key) for element in value)}]"
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    elif hasattr(value, "item"):  # a number of numpy's or torch's
        value = value.item()
    try:
        return json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError):
        raise UserError(f"{key!r} {IN_THE_CALL} is a {type(value).__name__}, which no config can hold: {value!r}") from None
