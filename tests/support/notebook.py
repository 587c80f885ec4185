"""Run a notebook without Jupyter: its code cells, one after the other in one namespace, in a process of its own.

python -m tests.support.notebook examples/tour.ipynb      runs it in a temporary folder and stores what the cells show
"""

from __future__ import annotations

import ast
import contextlib
import io
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.support.source_tree import ROOT


def read_notebook(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))


def code_cells(notebook: dict[str, Any]) -> list[dict[str, Any]]:
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def executed(notebook: dict[str, Any], folder: Path) -> list[list[dict[str, Any]]]:
    """The outputs of every code cell, as Jupyter stores them; what fails raises with its traceback."""
    sources = ["".join(cell["source"]) for cell in code_cells(notebook)]
    known = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.notebook", "--cells"],
        input=json.dumps(sources),
        cwd=folder,
        env=known,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == "", done.stderr
    return json.loads(done.stdout)


def _run(sources: list[str]) -> list[list[dict[str, Any]]]:
    names: dict[str, Any] = {"__name__": "__main__"}
    return [_run_cell(source, number, names) for number, source in enumerate(sources, 1)]


def _run_cell(source: str, number: int, names: dict[str, Any]) -> list[dict[str, Any]]:
    """What the cell prints, and the value of its last line where that is an expression."""
    tree, printed, outputs = ast.parse(source), io.StringIO(), list[dict[str, Any]]()
    last = ast.Expression(tree.body.pop().value) if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    with contextlib.redirect_stdout(printed):
        exec(compile(tree, f"<cell {number}>", "exec"), names)
        value = None if last is None else eval(compile(last, f"<cell {number}>", "eval"), names)
    if printed.getvalue():
        outputs.append({"name": "stdout", "output_type": "stream", "text": printed.getvalue().splitlines(keepends=True)})
    if value is not None:
        shown = {"text/plain": repr(value).splitlines(keepends=True)}
        outputs.append({"data": shown, "execution_count": number, "metadata": {}, "output_type": "execute_result"})
    return outputs


def _store(path: Path) -> None:
    notebook = read_notebook(path)
    with tempfile.TemporaryDirectory() as folder:
        found = executed(notebook, Path(folder))
    for number, (cell, outputs) in enumerate(zip(code_cells(notebook), found, strict=True), 1):
        cell["execution_count"], cell["outputs"] = number, outputs
    path.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    if sys.argv[1] == "--cells":
        sys.stdout.write(json.dumps(_run(json.load(sys.stdin))))
    else:
        _store(Path(sys.argv[1]))
