"""Lines of JSON that each end with a digest of themselves and the line before: every flipped bit and lost line is found.

    {"step": 4, "lr": 0.001, "digest": "9c1f0e..."}        sha256 of the digest before and the line up to here, 16 hex digits

The first line follows an empty digest. Files are appended to and cut back at the end of a line, and only the last line is needed to
continue the chain. A file without any digest was written by something else and is accepted as it is.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

DIGEST = "digest"

_END = re.compile(rf', "{DIGEST}": "([0-9a-f]{{16}})"\}}$')


def linked(values: Mapping[str, Any], before: str) -> tuple[str, str]:
    """A line without its newline, and its digest, which the next line continues.

    Args:
        values: JSON values; at least one.
        before: digest of the line before; empty for the first.
    """
    body = json.dumps(values, allow_nan=False)[:-1]
    digest = _digest(before, body)
    return f'{body}, "{DIGEST}": "{digest}"}}', digest


def digest_of(line: str) -> str:
    """The digest that a line ends with; empty if it has none."""
    found = _END.search(line)
    return found[1] if found else ""


def first_broken(lines: Iterable[str]) -> int | None:
    """Number of the first line, from 1, whose digest is not that of itself and the line before; None when none has any, either."""
    lines, before = list(lines), ""
    if not any(map(digest_of, lines)):
        return None
    for number, line in enumerate(lines, 1):
        stated = digest_of(line)
        if not stated or stated != _digest(before, _END.sub("", line)):
            return number
        before = stated
    return None


def _digest(before: str, body: str) -> str:
    return hashlib.sha256(f"{before}{body}".encode()).hexdigest()[:16]
