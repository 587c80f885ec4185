"""Which file a config's name means: the file as given, else the one shipped with the package.

ltrec train conf/experiment/x.yaml     in a checkout: that file; elsewhere, after pip install: ltrec/share/conf/experiment/x.yaml
"""

from __future__ import annotations

from pathlib import Path

from ltrec.core.errors import UserError, nearest

_PACKAGE = Path(__file__).resolve().parents[1]


def shipped_conf(package: Path = _PACKAGE) -> Path:
    """The folder of the shipped configs: inside the package (wheel), else beside it (checkout)."""
    in_wheel = package / "share" / "conf"
    return in_wheel if in_wheel.is_dir() else package.parent / "conf"


def find(name: str | Path, shipped: Path | None = None) -> Path:
    """The path that `name` stands for.

    Raises:
        UserError: there is no such file; suggests the nearest name in the same folder.
    """
    given = Path(name)
    root = shipped_conf() if shipped is None else shipped
    candidates = [given]
    if not given.is_absolute() and given.parts[:1] == ("conf",):
        candidates.append(root.joinpath(*given.parts[1:]))
    for candidate in candidates:
        if candidate.exists():
            return candidate
    known = {str(given.with_name(path.name)) for candidate in candidates for path in _yaml_files(candidate.parent)}
    raise UserError(f"no config file {str(given)!r}{nearest(str(given), sorted(known))}")


def _yaml_files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*.y*ml") if path.is_file()) if folder.is_dir() else []
