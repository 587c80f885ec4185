"""The script of an exported folder as one file: modules of the package, one behind another, without their imports of each other."""

from __future__ import annotations

import ast
import sys
from collections import defaultdict
from collections.abc import Sequence
from importlib import resources

SCRIPT = "recommend.py"
_PARTS = ("script/stored.py", "script/programs.py", "script/inputs.py", SCRIPT)
_OWN = ("ltrec", "__future__")


def script_text() -> str:
    """The whole file. It begins with the docstring of `recommend.py`."""
    package = resources.files("ltrec.artefact")
    texts = [package.joinpath(part).read_text(encoding="utf-8") for part in _PARTS]
    head = texts[-1][: _end(texts[-1], ast.parse(texts[-1]).body[0])]
    bodies = [text[_end(text, _imported(text)[-1]) :].strip() for text in texts]
    return "\n\n\n".join([f"{head}\nfrom __future__ import annotations\n\n{_imports(texts)}", *bodies]) + "\n"


def _imports(texts: Sequence[str]) -> str:
    """Imports of other packages, a line for each, the standard library's first."""
    whole, names = set[str](), defaultdict[str, set[str]](set)
    for node in (node for text in texts for node in _imported(text)):
        if isinstance(node, ast.Import):
            whole.add(ast.unparse(node))
        elif (module := str(node.module)).partition(".")[0] not in _OWN:
            names[module] |= {ast.unparse(name) for name in node.names}
    lines = [*sorted(whole), *(f"from {module} import {', '.join(sorted(names[module]))}" for module in sorted(names))]
    own, other = ([line for line in lines if (_package(line) in sys.stdlib_module_names) == is_own] for is_own in (True, False))
    return "\n".join([*own, "", *other])


def _package(line: str) -> str:
    return line.split()[1].partition(".")[0]


def _imported(text: str) -> list[ast.Import | ast.ImportFrom]:
    return [node for node in ast.parse(text).body if isinstance(node, ast.Import | ast.ImportFrom)]


def _end(text: str, node: ast.stmt) -> int:
    """Place of the first character after a statement's last line."""
    assert node.end_lineno is not None
    return sum(len(line) for line in text.splitlines(keepends=True)[: node.end_lineno])
