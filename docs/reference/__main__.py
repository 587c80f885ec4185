"""Write the sources of the site: the pages of docs/ and README with links that hold there, and the pages from the code."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

from docs.reference import api, commands, configuration

ROOT = Path(__file__).parents[2]
REPOSITORY = "https://github.com/ltrec/ltrec/blob/main"
GENERATED = {"configuration.md": configuration.page, "commands.md": commands.page, "api.md": api.page}
_LINK = re.compile(r"\]\(([^)#\s]+)(#[^)\s]*)?\)")


def write(out: Path) -> None:
    """Fill the folder; what was in it goes."""
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    (out / "index.md").write_text(relinked("README.md"), encoding="utf-8")
    for page in sorted((ROOT / "docs").glob("*.md")):
        (out / page.name).write_text(relinked(f"docs/{page.name}"), encoding="utf-8")
    for name, make in GENERATED.items():
        (out / name).write_text(make(), encoding="utf-8")
    images = ROOT / "benchmarks/results"
    for image in images.glob("*.png"):
        shutil.copy(image, out / image.name)


def relinked(page: str) -> str:
    """A page of the repository whose links lead to pages of the site, to images beside them, or to the repository."""

    def target(match: re.Match[str]) -> str:
        link, anchor = match[1], match[2] or ""
        if "://" in link:
            return match[0]
        path = (ROOT / page).parent.joinpath(link).resolve().relative_to(ROOT)
        if path == Path("README.md"):
            return f"](index.md{anchor})"
        if path.suffix == ".png" or (path.parent == Path("docs") and path.suffix == ".md"):
            return f"]({path.name}{anchor})"
        return f"]({REPOSITORY}/{path.as_posix()}{anchor})"

    return _LINK.sub(target, (ROOT / page).read_text(encoding="utf-8"))


if __name__ == "__main__":
    write(Path(sys.argv[1]))
