"""The repository as its house rules see it: which files there are, and what they import."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


BUILT = {"data", "runs", "build", "dist", "wandb", "__pycache__"}
"""Folders that are made, never committed (with every hidden one), for a copy without git."""


@cache
def committed() -> tuple[Path, ...]:
    """Every file that is, or would be, in the repository: tracked, or neither tracked nor ignored. Relative to the root."""
    if (ROOT / ".git").exists():
        command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
        lines = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
        return tuple(sorted(Path(line) for line in lines if (ROOT / line).is_file()))
    found = (path.relative_to(ROOT) for path in ROOT.rglob("*") if path.is_file())
    return tuple(sorted(path for path in found if not _is_built(path)))


def _is_built(path: Path) -> bool:
    return path.parts[0] in BUILT or "__pycache__" in path.parts or any(part.startswith(".") for part in path.parts[:-1])


def python_files(*folders: str) -> list[Path]:
    """Python files below the first-level folders."""
    return [path for path in committed() if path.suffix == ".py" and path.parts[0] in folders]


@cache
def parsed(path: Path) -> ast.Module:
    """Syntax tree of a file."""
    return ast.parse((ROOT / path).read_text(encoding="utf-8"), str(path))


def module_name(path: Path) -> str:
    """Dotted name of a file: `ltrec/core/__init__.py` is `ltrec.core`."""
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(tree: ast.AST) -> Iterator[tuple[int, str, tuple[str, ...]]]:
    """(line, module, names) of every import statement; names are empty for a plain `import`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name, ()) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"line {node.lineno}: relative import"
            yield node.lineno, node.module or "", tuple(alias.name for alias in node.names)


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Every function and method, nested ones too."""
    return (node for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)))
