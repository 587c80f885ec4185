"""Tracebacks of unexpected errors are written to a file; the screen shows one line.

The file is in the run folder if there is one, else in the temporary folder. Secrets are masked.
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
"""Attribute of an exception: the run folder it came from. Only used in this module."""


@contextmanager
def traceback_in(folder: Path) -> Iterator[None]:
    """An error inside is written to `folder` if that exists by then; the innermost folder wins."""
    try:
        yield
    except Exception as error:
        if not hasattr(error, _PLACE):
            setattr(error, _PLACE, folder)
        raise


def write_traceback(error: BaseException, arguments: Sequence[str]) -> Path:
    """Write the traceback of an error; returns the file.

    Args:
        error: the error.
        arguments: those of the command line.

    Raises:
        OSError: no file can be written.
    """
    now = datetime.now(UTC)
    head = (
        f"ltrec {__version__}, Python {platform.python_version()}, {platform.platform(terse=True)}\n"
        f"{now.isoformat(timespec='seconds')}, rank {os.environ.get('RANK', '0')}\n"
        f"ltrec {shlex.join(arguments)}\n\n"
    )
    text = masked(head + "".join(traceback.format_exception(error)), secrets_of(os.environ))
    name = crash_file_name(f"{now:%Y%m%dT%H%M%S.%f}", os.getpid())
    place = getattr(error, _PLACE, None)
    if place is not None and os.path.isdir(place):
        with suppress(OSError):  # such as a full disk; the temporary folder may be on another one
            return _written(place / name, text)
    return _written(Path(tempfile.gettempdir()) / f"ltrec-{name}", text)


def _written(path: Path, text: str) -> Path:
    with open(path, "x", encoding="utf-8", errors="backslashreplace") as handle:
        handle.write(text)
    return path
