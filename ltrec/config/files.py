"""Which file a config's name means: the file as given, else the one shipped with the package.

ltrec train conf/experiment/x.yaml     in a checkout: that file; elsewhere, after pip install: ltrec/share/conf/experiment/x.yaml
"""

from __future__ import annotations

import os
from pathlib import Path

from ltrec.core.errors import UserError, closest

_PACKAGE = Path(__file__).resolve().parents[1]


def shipped_conf(package: Path = _PACKAGE) -> Path:
    """The folder of the shipped configs: inside the package (wheel), else beside it (checkout)."""
    in_wheel = package / "share" / "conf"
    return in_wheel if in_wheel.is_dir() else package.parent / "conf"


def find(name: str | Path, shipped: Path | None = None) -> Path:
    """The path that `name` stands for.

    Raises:
        UserError: there is no such file; suggests the nearest name in the same folder, or when there is no such folder among all
            shipped files.
    """
    given = Path(name)
    root = shipped_conf() if shipped is None else shipped
    candidates = [given]
    if not given.is_absolute() and given.parts[:1] == ("conf",):
        candidates.append(root.joinpath(*given.parts[1:]))
    for candidate in candidates:
        if os.path.exists(candidate):
            return candidate
    beside = {path.stem: given.with_name(path.name) for candidate in candidates for path in _yaml_files(candidate.parent)}
    elsewhere = _shipped_files(root)
    moved = {given.stem: elsewhere[given.stem]} if given.stem in elsewhere else {}
    raise UserError(f"no config file {str(given)!r}{_hint(given, moved or beside or elsewhere)}")


def method_file(name: str) -> str:
    """The file of a method by its bare name: in the zoo if it exists there, else in conf/method."""
    in_zoo = (shipped_conf() / "method" / "zoo" / f"{name}.yaml").exists()
    return f"conf/method/{'zoo/' * in_zoo}{name}.yaml"


def _hint(given: Path, files: dict[str, Path]) -> str:
    """The nearest file by its bare name, for folder and ending are alike anyway; else the names in the folder that was meant."""
    close = closest(given.stem, files)
    if close is not None:
        return f" (did you mean {str(files[close])!r}?)"
    named = sorted(stem for stem, path in files.items() if path.parent == given.parent)
    return f"; {given.parent} has {', '.join(named)}" if named else ""


def _shipped_files(root: Path) -> dict[str, Path]:
    return {path.stem: Path("conf", path.relative_to(root)) for path in sorted(root.rglob("*.y*ml"))}


def _yaml_files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*.y*ml") if os.path.isfile(path)) if os.path.isdir(folder) else []
