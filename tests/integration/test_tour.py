"""The notebook of examples/: it runs as it is, and was stored after it ran."""

from __future__ import annotations

import json

from tests.support.notebook import code_cells, executed, read_notebook
from tests.support.source_tree import ROOT

TOUR = ROOT / "examples/tour.ipynb"


def test_the_tour_is_stored_with_what_its_cells_show():
    notebook = read_notebook(TOUR)
    cells = code_cells(notebook)
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1)) and len(cells) > 5
    assert sum(bool(cell["outputs"]) for cell in cells) > len(cells) / 2
    assert not [cell for cell in cells for output in cell["outputs"] if output["output_type"] == "error"]
    assert notebook["nbformat"] == 4 and {cell["cell_type"] for cell in notebook["cells"]} == {"markdown", "code"}


def test_the_tour_runs(tmp_path):
    """Whatever the numbers are on this machine, cells show something where they are stored with something."""
    notebook = read_notebook(TOUR)
    found = executed(notebook, tmp_path)
    assert [bool(outputs) for outputs in found] == [bool(cell["outputs"]) for cell in code_cells(notebook)]
    assert any(word in json.dumps(found) for word in ("INCONCLUSIVE", "PASS", "FAIL")), "the gate says something"
    assert (tmp_path / "work/runs/mine-0/checkpoints/best.ckpt").exists()
