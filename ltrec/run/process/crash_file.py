"""The traceback of an unforeseen failure goes to a file, so that the screen keeps to one line and a bug report loses nothing.

It goes to the run folder where there is one, else to the temporary folder. Secrets in it are masked.
"""

from __future__ import annotations

import os
import platform
import shlex
import tempfile
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from ltrec.core.secrets import masked, secrets_of
from ltrec.core.storage.run_folder import crash_file_name
from ltrec.version import __version__

_PLACE = "_ltrec_folder"
"""Attribute of an exception on its way up: the run folder it came from. Set and read in this module alone."""


@contextmanager
def traceback_in(folder: Path) -> Iterator[None]:
    """A failure inside leaves its traceback in `folder`, if that is there by then; the innermost folder wins."""
    try:
        yield
    except Exception as error:
        if not hasattr(error, _PLACE):
            setattr(error, _PLACE, folder)
        raise


def write_traceback(error: BaseException, words: Sequence[str]) -> Path:
    """Write a failure down and return the file.

    Args:
        error: the failure.
        words: the command line.

    Raises:
        OSError: it can be written nowhere.
    """
    now = datetime.now(UTC)
    head = (
        f"ltrec {__version__}, Python {platform.python_version()}, {platform.platform(terse=True)}\n"
        f"{now.isoformat(timespec='seconds')}, rank {os.environ.get('RANK', '0')}\n"
        f"ltrec {shlex.join(words)}\n\n"
    )
    text = masked(head + "".join(traceback.format_exception(error)), secrets_of(os.environ))
    name = crash_file_name(f"{now:%Y%m%dT%H%M%S.%f}", os.getpid())
    place = getattr(error, _PLACE, None)
    if place is not None and os.path.isdir(place):
        with suppress(OSError):  # a full disk, say; the temporary folder may lie on another one
            return _written(place / name, text)
    return _written(Path(tempfile.gettempdir()) / f"ltrec-{name}", text)


def _written(path: Path, text: str) -> Path:
    with open(path, "x", encoding="utf-8", errors="backslashreplace") as handle:
        handle.write(text)
    return path
