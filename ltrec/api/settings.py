"""Settings as a caller gives them: config files, `key=value` words, mappings and keyword arguments, all in one order of precedence.

    train("conf/experiment/quickstart.yaml", {"optim.lr": 1e-3, "trainer": {"max_epochs": 2}}, name="mine")

Files first, left to right, then mappings and words, left to right, then keyword arguments; later ones win.
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
"""A config file, a `key=value` word, or a mapping of settings with dotted or nested keys."""


def files_and_words(settings: Sequence[Setting], overrides: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """What `ltrec.config.load.load` wants: files, and words that say the rest.

    Raises:
        UserError: something that is neither a path nor a mapping, or a value that no config can hold.
    """
    files: list[str] = []
    words: list[str] = []
    for setting in settings:
        if isinstance(setting, Mapping):
            words += words_of(setting)
        elif isinstance(setting, str | os.PathLike):
            new_files, new_words = split_arguments([os.fspath(setting)])
            files, words = files + new_files, words + new_words
        else:
            raise UserError(f"{setting!r} is neither a config file nor a mapping of settings such as {{'optim.lr': 1e-3}}")
    return files, words + words_of(overrides)


def words_of(settings: Mapping[str, Any], section: str = "") -> list[str]:
    """A mapping as `key=value` words.

    Raises:
        UserError: a value that no config can hold.
    """
    return list(_words(settings, section))


def _words(settings: Mapping[str, Any], section: str) -> Iterator[str]:
    for name, value in settings.items():
        key = f"{section}.{name}" if section else str(name)
        if isinstance(value, Mapping):
            yield from _words(value, key)
        else:
            yield f"{key}={_text(value, key)}"


def _text(value: Any, key: str) -> str:
    """As YAML, which JSON is but for numbers that are not finite."""
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
