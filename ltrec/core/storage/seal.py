"""Files that carry a digest of themselves: a text in its last line, which is a comment; a JSON object under a key of its own.

A file without a digest was written by something else and is accepted as it is.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

from ltrec.core.storage.canonical import canonical_json

KEY = "sha256"
_LINE = "# sha256 of the lines above: "
_LAST = re.compile(rf"^{_LINE}([0-9a-f]{{64}})\n\Z", re.MULTILINE)


def sealed_text(text: str) -> str:
    """A text whose lines end, with its digest in one line more."""
    return f"{text}{_LINE}{_sha256(text)}\n"


def unsealed_text(text: str) -> str:
    """The text without that line, if it has one."""
    return _LAST.sub("", text)


def text_is_broken(text: str) -> bool:
    """Whether a text carries a digest that is not its own, or that is not its last line any more."""
    found = _LAST.search(text)
    return _LINE.removeprefix("# ") in text if found is None else found[1] != _sha256(text[: found.start()])


def sealed(values: Mapping[str, Any]) -> dict[str, Any]:
    """JSON values with their digest."""
    return {**values, KEY: _sha256(canonical_json(values))}


def opened(text: str) -> dict[str, Any]:
    """The values of a JSON object, without their digest.

    Raises:
        ValueError: it is no JSON, no object, or does not match its digest; says which.
    """
    try:
        values = json.loads(text)
    except ValueError as error:
        raise ValueError(f"not JSON ({error})") from None
    if not isinstance(values, dict):
        raise ValueError("a JSON object is expected")
    stated = values.pop(KEY, None)
    if stated is not None and stated != _sha256(canonical_json(values)):
        raise ValueError("it does not match its digest")
    return values


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
