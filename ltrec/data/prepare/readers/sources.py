"""Which files to read, in which order, and their formats. The order matters: it breaks ties in time.

A file's label is its path relative to the argument that named it, so a data set does not depend on the folder that its log is in.
"""

from __future__ import annotations

import glob
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from ltrec.core.errors import UserError, nearest
from ltrec.core.storage.atomic import sha256_file

SUFFIXES = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".inter": "tsv",
    ".data": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".pq": "parquet",
}
LOOSE_SUFFIXES = {".txt": "csv", ".dat": "csv", ".log": "csv"}
"""Suffixes of logs, but also of notes and licences: in a folder they are used only if there is no other log."""
COMPRESSIONS = (".gz", ".bz2", ".zst")


@dataclass(frozen=True, slots=True)
class InputFile:
    """One input file.

    Attributes:
        path: where it is.
        label: its path below the argument that named it.
        format: csv, tsv, jsonl, sequences or parquet.
        partition: columns given by folder names, as in ``event=view/day=2024-05-01/part-0.parquet``; None = null.
        groups: row groups of Parquet to read, from and up to; None = all.
    """

    path: Path
    label: str
    format: str
    partition: dict[str, str | None] = field(default_factory=dict)
    groups: tuple[int, int] | None = None


def find_sources(arguments: Sequence[str], log_format: str) -> list[InputFile]:
    """Expand files, globs and folders, each sorted by name, in the order given. Empty files are accepted only inside a folder or
    pattern with other logs.

    Raises:
        UserError: nothing to read, a missing or empty file, an unknown format, or a file named twice.
    """
    if not arguments:
        raise UserError("no event log named; give files, globs or folders (`sources`)")
    found = [source for argument in arguments for source in _expand(argument, log_format)]
    seen: set[Path] = set()
    for source in found:
        if source.path.resolve() in seen:
            raise UserError(f"{source.path} is given twice; its events would count twice")
        seen.add(source.path.resolve())
    return found


def describe(sources: Sequence[InputFile], on_bytes: Callable[[int], None]) -> list[dict[str, Any]]:
    """Label, size and sha256 of every file: the identity of the input."""
    return [{"path": s.label, "bytes": s.path.stat().st_size, "sha256": sha256_file(s.path, on_bytes)} for s in sources]


def stamps(sources: Sequence[InputFile]) -> dict[Path, tuple[int, int]]:
    """Size and modification time of every file, to detect a log that is still being written."""
    return {s.path: (s.path.stat().st_size, s.path.stat().st_mtime_ns) for s in sources}


def refuse_changed(sources: Sequence[InputFile], before: dict[Path, tuple[int, int]]) -> None:
    """Compare files with their `stamps` from before they were read.

    Raises:
        UserError: one has changed.
    """
    if changed := [str(path) for path, stamp in stamps(sources).items() if before[path] != stamp]:
        raise UserError(f"{changed[0]} changed while it was being read; nothing was written; run again once the log is complete")


def _expand(argument: str, log_format: str) -> list[InputFile]:
    path = Path(argument)
    if "://" in argument:
        raise UserError(f"{argument}: remote logs cannot be read; copy them to a local disk first")
    if path.is_file():
        if path.stat().st_size == 0:
            raise UserError(f"{path} is empty (0 bytes)")
        return [InputFile(path, path.name, _format(path, log_format), _partition(path.parts[:-1]))]
    if path.is_dir():
        return _files(path, [p for p in path.rglob("*") if p.is_file()], log_format, argument)
    if glob.has_magic(argument):
        base = Path(*_plain_prefix(path.parts))
        matches = [path for path in map(Path, glob.glob(argument, recursive=True)) if path.is_file()]
        if not matches:
            raise UserError(f"{argument} matches no file")
        return _files(base, matches, log_format, argument)
    known = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
    raise UserError(f"{argument} not found{nearest(path.name, known)}")


def _files(base: Path, candidates: list[Path], log_format: str, argument: str) -> list[InputFile]:
    """Logs below `base`, sorted by name; hidden files and markers such as _SUCCESS are ignored."""
    visible = [path for path in sorted(candidates) if not any(p.startswith((".", "_")) for p in path.relative_to(base).parts)]
    known = [path for path in visible if log_format != "auto" or _known_format(path, SUFFIXES)]
    files = [
        InputFile(path, path.relative_to(base).as_posix(), _format(path, log_format), _partition(path.parts[:-1]))
        for path in known or [path for path in visible if _known_format(path)]
    ]
    if files and not any(source.path.stat().st_size for source in files):
        raise UserError(f"{argument} holds {len(files)} event log(s), all of them empty (0 bytes)")
    if not files:
        raise UserError(f"{argument} holds no event log; known file names end in {', '.join(SUFFIXES)}")
    return files


def _partition(folders: Iterable[str]) -> dict[str, str | None]:
    """Columns that Hive, Spark and others write as folders, ``key=value``, with special characters as %xx."""
    pairs = (folder.partition("=") for folder in folders)
    return {unquote(k): None if v == "__HIVE_DEFAULT_PARTITION__" else unquote(v) for k, equals, v in pairs if k and equals}


def _plain_prefix(parts: tuple[str, ...]) -> tuple[str, ...]:
    magic = next(i for i, part in enumerate(parts) if glob.has_magic(part))
    return parts[:magic]


def _known_format(path: Path, suffixes: Mapping[str, str] = SUFFIXES | LOOSE_SUFFIXES) -> str | None:
    name = path.with_suffix("") if path.suffix.lower() in COMPRESSIONS else path
    return suffixes.get(name.suffix.lower())


def _format(path: Path, log_format: str) -> str:
    known = _known_format(path) if log_format == "auto" else log_format
    if known is None:
        raise UserError(f"{path}: the format cannot be told from the name; say `format`=csv, tsv, jsonl, sequences or parquet")
    return known
