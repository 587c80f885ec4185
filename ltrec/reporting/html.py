"""The report of a run: one static HTML file that can be mailed, and its figures as PNG files next to it.

    run folders --report_run--> tables, history, facts --summarise, compare, gate--> numbers --report_page--> Page --> index.html

The page is self-contained (inline images, no scripts, external fonts or styles; its content policy forbids them), and every string
from outside is escaped.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ltrec.core.storage.atomic import atomic_path, atomic_write_text
from ltrec.core.storage.run_folder import RunFolder
from ltrec.evaluation.config import EvaluationConfig
from ltrec.reporting.page import build_page
from ltrec.reporting.run_results import read_run
from ltrec.reporting.template import render


def write_report(runs: Sequence[Path], config: EvaluationConfig | None = None, out: Path | None = None) -> Path:
    """Write the report of the first run, compared with the others, and return the path of its HTML file.

    Args:
        runs: run folders; the first is the one in question, the others are compared with it (or are further seeds of either).
        config: cutoffs, head cut, resamples, margin.
        out: folder to write to; None = ``report`` in the first run's folder.

    Raises:
        UserError: a run is missing, damaged, or cannot be compared with the first; names the file or what differs.
    """
    folders = [read_run(path) for path in runs]
    page = build_page(folders, config or EvaluationConfig())
    out = RunFolder(folders[0].path).report if out is None else out
    for image in page.images():
        for suffix, png in (("", image.light), ("-dark", image.dark)):
            with atomic_path(out / f"{image.name}{suffix}.png") as temporary:
                temporary.write_bytes(png)
    index = out / "index.html"
    atomic_write_text(index, render(page))
    return index
