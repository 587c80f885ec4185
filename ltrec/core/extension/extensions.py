"""Modules from outside that register variants when they are imported: those that a config names, and those that are installed.

    imports: [my_package.models]                       in a config: a module that Python finds here, and on every node
    [project.entry-points."ltrec.plugins"]             in a package's pyproject.toml: imported wherever the package is installed
    mine = "my_package.models"

A module is named with dots, as after `import`: never a path, never code.
"""

from __future__ import annotations

import hashlib
import importlib
import re
import sys
import traceback
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from types import ModuleType

from ltrec.core.errors import UserError, first_line

GROUP = "ltrec.plugins"
"""The entry-point group."""

_DOTTED = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Extension:
    """A module that was imported, as provenance keeps it and ranks compare it.

    Attributes:
        module: its dotted name.
        distribution: the installed package that has it; None for a module that is only on the path.
        version: the distribution's, or else the module's own `__version__`, if it has one.
        digest: twelve hex digits over the source of its whole top-level package.
    """

    module: str
    distribution: str | None
    version: str | None
    digest: str


_imported: dict[str, Extension] = {}
_broken: list[str] = []
_seen: set[tuple[str, str]] = set()


def imported() -> tuple[Extension, ...]:
    """Every extension of this process, in the order of their first import."""
    return tuple(_imported.values())


def broken() -> tuple[str, ...]:
    """A line for every installed plugin that could not be imported."""
    return tuple(_broken)


def import_module(name: str, where: str) -> ModuleType:
    """Import a module that a config names, and remember that it did.

    Args:
        name: dotted.
        where: the setting and its place, for messages.

    Raises:
        UserError: it is not a dotted name, is not found, or fails.
    """
    if not _DOTTED.fullmatch(name):
        raise UserError(f"{where}: {name!r} is not a module; write a dotted name, as in my_package.models, never a path")
    if name in _imported:
        return sys.modules[name]
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise UserError(f"{where}: {name} could not be imported ({_reason(error)})") from error
        raise UserError(
            f"{where}: no module {error.name!r} is found here; install its package, or put its folder on PYTHONPATH, on every node"
        ) from None
    except (Exception, SystemExit) as error:
        raise UserError(f"{where}: {name} could not be imported ({_reason(error)})") from error
    _imported[name] = _described(module, _distribution_of(name))
    return module


def import_installed() -> tuple[str, ...]:
    """Import what installed packages announce, once; returns a line for each that is newly found broken."""
    before = len(_broken)
    for point in metadata.entry_points(group=GROUP):
        if (key := (point.name, point.value)) in _seen:
            continue
        _seen.add(key)
        try:
            point.load()
        except (Exception, SystemExit) as error:  # noqa: BLE001  a stranger's code, which no other run needs
            owner = "an unknown package" if point.dist is None else f"{point.dist.name} {point.dist.version}"
            _broken.append(f"the plugin {point.name!r} of {owner} could not be imported ({_reason(error)}); it is left out")
        else:
            _imported.setdefault(point.module, _described(sys.modules[point.module], point.dist))
    return tuple(_broken[before:])


def _reason(error: BaseException) -> str:
    """An error in a few words, with the last line of code that it passed."""
    frames = traceback.extract_tb(error.__traceback__)
    kind = "" if isinstance(error, UserError) else f"{type(error).__name__}: "
    place = f", {frames[-1].filename}:{frames[-1].lineno}" if frames and not isinstance(error, UserError) else ""
    return f"{kind}{first_line(error) if isinstance(error, Exception) else error}{place}"


def _distribution_of(name: str) -> metadata.Distribution | None:
    """The installed distribution that holds a module."""
    owners = metadata.packages_distributions().get(name.partition(".")[0], [])
    return metadata.distribution(owners[0]) if owners else None


def _described(module: ModuleType, distribution: metadata.Distribution | None) -> Extension:
    version = getattr(module, "__version__", None) if distribution is None else distribution.version
    return Extension(
        module.__name__,
        None if distribution is None else distribution.name,
        None if version is None else str(version),
        _source_digest(module.__name__),
    )


def _source_digest(name: str) -> str:
    """Over names and contents of the Python files of the module's top-level package, wherever it lies."""
    content = hashlib.sha256()
    for path, shown in source_files(name):
        content.update(f"{shown}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return content.hexdigest()[:12]


def source_files(name: str) -> list[tuple[Path, str]]:
    """Python files of a module's top-level package, or its one file, each with its name below the folder it is imported from."""
    top = sys.modules[name.partition(".")[0]]
    folders = [Path(folder) for folder in getattr(top, "__path__", [])]
    if not folders:
        return [(Path(top.__file__), Path(top.__file__).name)] if top.__file__ else []
    return sorted((path, str(path.relative_to(folder.parent))) for folder in folders for path in folder.rglob("*.py"))
