"""A full disk, an exceeded quota or a lack of memory is reported in one line, whichever library noticed it."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ltrec.core.errors import UserError
from ltrec.data.prepare.database import DatabaseError, OutOfMemory

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_FULL_WORDS = ("No space left", "File too large", "quota exceeded", "max_temp_directory_size", "not enough disk space")


@contextmanager
def explain_exhaustion(out: Path) -> Iterator[None]:
    """Turn errors of exhausted disk or memory into a UserError; others are raised as they are."""
    try:
        yield
    except (OSError, DatabaseError) as error:
        text = str(error)
        if getattr(error, "errno", None) in _FULL or any(words.lower() in text.lower() for words in _FULL_WORDS):
            raise UserError(f"no space left on the disk of {out}; nothing was written, free some space and run again") from error
        if isinstance(error, OutOfMemory):
            raise UserError("the sort engine ran out of memory; raise `memory_limit` or lower `threads`") from error
        raise
