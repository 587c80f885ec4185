"""The one text form of a JSON value: sorted keys, two spaces, a final newline. Digests are taken over it.

`json.dumps` indents in Python, ten times slower than it writes a line; a manifest may have 100,000 shards. So here objects without
anything inside them are written by its C encoder, with the indentation in the separators.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import cache
from typing import Any

_FLAT = (str, int, float, bool, type(None))


def canonical_json(value: Any) -> str:
    """The text of a JSON value.

    Raises:
        ValueError: a number is not finite.
        TypeError: it is no JSON value.
    """
    try:
        return _text(value, 1) + "\n"
    except _OtherKeysError:
        return json.dumps(value, sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


class _OtherKeysError(Exception):
    """A key is not text; json decides how it is written and sorted."""


@cache
def _encoder(depth: int) -> json.JSONEncoder:
    """Writes what has no containers inside, its lines indented for this depth."""
    separators = (f",\n{'  ' * depth}", ": ")
    return json.JSONEncoder(sort_keys=True, ensure_ascii=False, allow_nan=False, separators=separators)


def _text(value: Any, depth: int) -> str:
    if not value or not isinstance(value, dict | list | tuple):
        return _encoder(depth).encode(value)
    is_object = isinstance(value, dict)
    if is_object and not all(type(key) is str for key in value):
        raise _OtherKeysError
    each: Iterable[Any] = value.values() if isinstance(value, dict) else value
    if all(type(inner) in _FLAT for inner in each):
        lines = _encoder(depth).encode(value)[1:-1]
    elif is_object:
        pairs = (f"{_encoder(0).encode(key)}: {_text(value[key], depth + 1)}" for key in sorted(value))
        lines = f",\n{'  ' * depth}".join(pairs)
    else:
        lines = f",\n{'  ' * depth}".join([_text(inner, depth + 1) for inner in value])
    begin, end = "{}" if is_object else "[]"
    return f"{begin}\n{'  ' * depth}{lines}\n{'  ' * (depth - 1)}{end}"
