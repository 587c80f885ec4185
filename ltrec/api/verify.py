"""`ltrec.verify`: re-hash and re-check every byte and row of a prepared data set."""

from __future__ import annotations

import os
from pathlib import Path

from ltrec.api.results.dataset import Dataset
from ltrec.api.session import session
from ltrec.data.verify.dataset import verify as verify_folder
from ltrec.terminal.progress_row import PhaseBar


def verify(data: str | os.PathLike[str], *, progress: bool = False) -> Dataset:
    """Check every byte and every row of a prepared data set.

    Args:
        data: the folder that `ltrec.prepare` wrote.
        progress: show how far it is.

    Raises:
        UserError: at the first fault, naming the file (and the row group).
    """
    folder = Path(data)
    with session(progress=progress) as call, PhaseBar(call.screen) as bar:
        return Dataset.of(folder, verify_folder(folder, bar.update), up_to_date=True)
