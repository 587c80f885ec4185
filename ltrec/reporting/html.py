"""The report of a run: one static HTML file that can be mailed, and its figures as PNGs beside it.

    run folders --report_run--> tables, history, facts --summarise, compare, gate--> numbers --report_page--> Page --> index.html

The page holds everything it shows (images inline, no scripts, fonts or styles from elsewhere; its content policy forbids them) and
escapes every string that came from outside.
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
        runs: run folders; the first is in question, the others are what it is compared with (or further seeds of either).
        config: cutoffs, head cut, resamples, margin.
        out: folder to write to; None = ``report`` in the first run's folder.

    Raises:
        UserError: when a run is missing, damaged, or must not be compared with the first; it names the file or what differs.
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
