"""`ltrec.report`: one static HTML page with plots, beside the run.

What draws and writes it is the extra `report`, and is loaded on first use: runs do not need it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ltrec.api.session import session
from ltrec.api.settings import overrides_of
from ltrec.config.load import load
from ltrec.core.errors import UserError
from ltrec.core.storage.run_folder import RunFolder
from ltrec.data.remote.folder import read_manifest
from ltrec.data.stream.quarantine.ledger import Ledger, read_ledger
from ltrec.evaluation.table import EvalTable
from ltrec.run.build.loggers import track_report
from ltrec.run.folder.find_data import named_data
from ltrec.run.folder.reopen import refuse_settings, split_runs
from ltrec.run.process.crash_file import traceback_in


@dataclass(frozen=True, slots=True)
class Report(os.PathLike[str]):
    """A written report. It is accepted wherever its file is.

    Attributes:
        path: index.html, self-contained; its figures are PNGs beside it.
        quarantine: folder of a run -> the damaged row groups that it was trained without; no entry for a run without damage.
    """

    path: Path
    quarantine: Mapping[str, Ledger] = field(default_factory=dict)

    def __fspath__(self) -> str:
        """The file."""
        return str(self.path)

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        ledgers = {run: [asdict(entry) for entry in ledger] for run, ledger in self.quarantine.items()}
        return {"report": str(self.path), **({"quarantine": ledgers} if ledgers else {})}


def report(
    *runs: str | os.PathLike[str],
    out: str | os.PathLike[str] | None = None,
    data: str | os.PathLike[str] | None = None,
    progress: bool = False,
    **evaluation: Any,
) -> Report:
    """Write index.html (self-contained) and its figures as PNGs; a tracked run's tracker gets it as well.

    Args:
        runs: run folders; the first and its seeds are held against the others.
        out: folder to write to; None = `report` in the first run's folder.
        data: a data set that all runs must be of, by its digest.
        progress: show what the command line shows.
        evaluation: settings of evaluation in place of the first run's.

    Raises:
        UserError: a run is missing, damaged, not evaluated, or must not be compared with the first.
    """
    with session(progress=progress) as call:
        folders, overrides = split_runs([os.fspath(run) for run in runs])
        overrides += overrides_of(evaluation, "evaluation")
        first = RunFolder(folders[0])
        refuse_settings(overrides)
        if data is not None:
            _refuse_other_data(folders, os.fspath(data))
        config = load([first.config] if first.is_run() else [], overrides, where=call.where).evaluation
        with traceback_in(first.path):
            from ltrec.reporting.html import write_report

            index = write_report(folders, config, None if out is None else Path(out))
        track_report(first, index.parent)
        ledgers = {str(path): read_ledger(RunFolder(path).quarantine) for path in folders}
        return Report(index, {run: ledger for run, ledger in ledgers.items() if ledger})


def _refuse_other_data(runs: list[Path], data: str) -> None:
    """The data set of the results, which they record themselves, even if provenance is lost."""
    digest = read_manifest(data).digest
    for run in runs:
        named_data(RunFolder(run), data)
        for file in RunFolder(run).eval_tables():
            if (theirs := EvalTable.read(file).protocol.manifest) != digest:
                raise UserError(f"{file} is about another data set (digest {theirs[:12]}) than --data names ({digest[:12]})")
