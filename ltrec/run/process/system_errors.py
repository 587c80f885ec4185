"""One-line messages for errors of the system and of libraries: paths, disks, memory, limits. Recognised by type and error number.

Libraries are recognised by the module of their exception, since a failed command must not import them.
"""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from ltrec.core.errors import first_line

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_MESSAGES = {
    errno.ENOENT: "no such file or folder: {place}",
    errno.ENOTDIR: "{place} leads through a file, where a folder should be",
    errno.EISDIR: "{place} is a folder, where a file should be",
    errno.EEXIST: "{place} is there already, and is not what should be there; choose another name",
    errno.ENAMETOOLONG: "a name or path is too long: {place}; choose a shorter one",
    errno.ELOOP: "{place} is a link that leads back to itself",
    errno.EACCES: "Permission denied: {place}",
    errno.EPERM: "Operation not permitted: {place}",
    errno.EROFS: "Read-only file system: {place}",
    errno.EMFILE: "too many open files: raise the limit (ulimit -n 4096)",
    errno.ENFILE: "too many open files on this machine: close some programs",
    errno.ENOMEM: "no memory left: ask for more, or work on less at a time (stream.batch_rows, model.width, evaluation.chunk_rows)",
}
"""Error number -> message."""

_MEMORY = ("DefaultCPUAllocator", "CUDA out of memory", "can't allocate memory", "HIP out of memory", "not enough memory")
_FILES = ("Too many open files", "EMFILE")
_ROOM = ("No space left", "quota exceeded", "File too large")


def explain(error: BaseException, arguments: Sequence[str]) -> str | None:
    """The message of an error of the system or of a library; None for any other.

    Args:
        error: what was raised.
        arguments: those of the command line, searched for paths if the error names none.
    """
    text = first_line(error) if isinstance(error, Exception) else str(error)
    if any(word in str(error) for word in _FILES):
        return _MESSAGES[errno.EMFILE]
    if isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and any(word in str(error) for word in _MEMORY)):
        return f"{_MESSAGES[errno.ENOMEM]} ({text})" if text else _MESSAGES[errno.ENOMEM]
    if isinstance(error, OSError):
        return _of_system(error, arguments)
    if type(error).__module__.partition(".")[0] in ("pyarrow", "duckdb", "_duckdb"):
        return _full(None, arguments) if any(word in str(error) for word in _ROOM) else f"{_library(error)}: {text}"
    if isinstance(error, UnicodeEncodeError) and any("\ud800" <= c <= "\udfff" for c in error.object):
        return f"{error.object!a} is not UTF-8 text, and cannot be written into a file; choose another name"
    return None


def _of_system(error: OSError, arguments: Sequence[str]) -> str:
    if error.errno in _FULL or any(word in str(error) for word in _ROOM):
        return _full(error.filename, arguments)
    if error.errno is None:  # of pyarrow, about a damaged file
        return f"a file cannot be read: {first_line(error)}"
    if error.filename is None and error.errno == errno.ENOENT:
        if not _here():
            return "the current folder is gone: change to another one (cd)"
        if "temporary directory" in str(error):
            return "there is no folder for temporary files: set TMPDIR to a folder that exists and is writable"
    place = error.filename if error.filename2 is None else f"{error.filename} -> {error.filename2}"
    message = _MESSAGES.get(error.errno, f"{os.strerror(error.errno)}: {{place}}")
    return message.format(place="a file" if place is None else os.fsdecode(place) if isinstance(place, bytes) else place)


def _full(place: str | None, arguments: Sequence[str]) -> str:
    place = place or str(_fullest_folder(arguments))
    return f"no space left on the disk of {place}: make room there or choose another folder, then run the same command again"


def _library(error: BaseException) -> str:
    return "DuckDB" if "duckdb" in type(error).__module__ else "Arrow"


def _here() -> Path | None:
    try:
        return Path.cwd()
    except OSError:
        return None


def _fullest_folder(arguments: Sequence[str]) -> Path:
    """The folder with the least free space among those of the command line, here and the temporary one: some errors name none."""
    here = _here() or Path("/")
    named = [here / word.rpartition("=")[2] for word in arguments if not word.startswith("-")]
    folders = {nearest_existing(path) for path in [*named, here, Path(tempfile.gettempdir())]}
    return min(sorted(folders), key=lambda folder: shutil.disk_usage(folder).free)


def nearest_existing(folder: Path) -> Path:
    """The folder, or its nearest parent that exists."""
    place = folder.absolute()
    while not os.path.isdir(place):  # unlike Path.is_dir, False for any impossible name
        place = place.parent
    return place
