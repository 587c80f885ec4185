"""`ltrec.verify`: re-hash and re-check every byte and row of a prepared data set."""

from __future__ import annotations

import os
from pathlib import Path

from ltrec.api.results.dataset import Dataset
from ltrec.api.session import session
from ltrec.core.storage.remote.url import is_url
from ltrec.data.remote.folder import open_folder, open_store
from ltrec.data.verify.dataset import verify as verify_folder
from ltrec.data.verify.store import verify_store
from ltrec.terminal.progress_row import PhaseBar


def verify(data: str | os.PathLike[str], *, progress: bool = False) -> Dataset:
    """Check every byte and every row of a prepared data set.

    Args:
        data: the folder that `ltrec.prepare` wrote, or its address: then every byte is read from the store.
        progress: show how far it is.

    Raises:
        UserError: at the first fault, naming the file (and the row group).
    """
    with session(progress=progress) as call, PhaseBar(call.screen) as bar:
        if is_url(place := os.fspath(data)):
            manifest = verify_store(open_store(place), bar.update)
            return Dataset.of(open_folder(place), manifest, up_to_date=True, address=place)
        folder = Path(data)
        return Dataset.of(folder, verify_folder(folder, bar.update), up_to_date=True)
