"""An environment of its own, without a network: a folder of links to some installed packages and all that they require, and an
interpreter that sees nothing else."""

from __future__ import annotations

import sys
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement

_RUN = """
import importlib.util, runpy, sys
sys.path[:] = [path for path in sys.path if "site-packages" not in path] + [sys.argv[1]]
assert importlib.util.find_spec("ltrec") is None, sys.path
runpy.run_path(sys.argv[2], run_name="__main__")
"""


def environment_of(folder: Path, names: list[str]) -> Path:
    """The folder with packages of these names, made if it is missing."""
    if not folder.exists():
        folder.mkdir(parents=True)
        for package in required(names).values():
            for entry in {file.parts[0] for file in package.files or [] if file.parts[0] != ".."}:
                source = Path(str(package.locate_file(entry)))
                if source.exists() and not (folder / entry).exists():
                    (folder / entry).symlink_to(source)
    return folder


def required(names: list[str]) -> dict[str, Distribution]:
    """The packages and what they require here, by name."""
    found: dict[str, Distribution] = {}
    todo = list(names)
    while todo:
        if (name := todo.pop().lower().replace("_", "-")) in found:
            continue
        try:
            found[name] = distribution(name)
        except PackageNotFoundError:
            continue
        asked = map(Requirement, found[name].requires or [])
        todo += [one.name for one in asked if one.marker is None or one.marker.evaluate({"extra": ""})]
    return found


def isolated(packages: Path, script: Path) -> list[str]:
    """The command that runs a script there."""
    return [sys.executable, "-I", "-S", "-c", _RUN, str(packages), str(script)]
