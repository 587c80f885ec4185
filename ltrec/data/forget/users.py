"""The file of users to forget: a raw id per line, as in the log."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from ltrec.core.errors import UserError
from ltrec.core.storage.atomic import refuse_special

_LARGEST_ID = 1 << 16


def read_users(path: Path) -> pa.Array:
    """The ids, each once, in the order of the file. Empty lines do not count.

    Raises:
        UserError: the file cannot be read, is not UTF-8, or names nobody.
    """
    try:
        refuse_special(path)
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise UserError(f"{path} not found: name a file with the raw id of a user per line") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 text (byte {error.start}): it should have the raw id of a user per line") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from None
    ids = [line.removesuffix("\r") for line in text.split("\n")]
    for number, name in enumerate(ids, 1):
        if len(name) > _LARGEST_ID or "\0" in name:
            raise UserError(f"{path} line {number} is not the id of a user: it should have the raw id of a user per line")
    found = list(dict.fromkeys(name for name in ids if name))
    if not found:
        raise UserError(f"{path} names nobody: it should have the raw id of a user per line")
    return pa.array(found, pa.string())


class Mentions:
    """Whether texts, such as raw lines of a log, mention one of some ids as a word of their own."""

    _BETWEEN = str.maketrans(dict.fromkeys(",;|:\t\r\n\"'=()[]{}<>&", " "))

    def __init__(self, ids: pa.Array) -> None:
        every = ids.to_pylist()
        self._words = {name for name in every if self._split(name) == [name]}
        self._others = [name for name in every if name not in self._words]

    def any(self, texts: list[str | None]) -> bool:
        """Whether one of the texts does."""
        return any(self._in(text) for text in texts if text)

    def _in(self, text: str) -> bool:
        return not self._words.isdisjoint(self._split(text)) or any(name in text for name in self._others)

    def _split(self, text: str) -> list[str]:
        return text.translate(self._BETWEEN).split()
