"""`ltrec.verify`: re-hash and re-check every byte and row of a prepared data set."""

from __future__ import annotations

import os
from pathlib import Path

from ltrec.api.results.dataset import Dataset
from ltrec.api.session import session
from ltrec.core.errors import UserError
from ltrec.core.storage.remote.url import is_url
from ltrec.data.forget.users import read_users
from ltrec.data.remote.folder import open_folder, open_store
from ltrec.data.verify.dataset import verify as verify_folder
from ltrec.data.verify.store import verify_store
from ltrec.terminal.progress_row import PhaseBar


def verify(data: str | os.PathLike[str], *, forgotten: str | os.PathLike[str] | None = None, progress: bool = False) -> Dataset:
    """Check every byte and every row of a prepared data set.

    Args:
        data: the folder that `ltrec.prepare` wrote, or its address: then every byte is read from the store.
        forgotten: a file with a raw user id per line: none of them may be in any file of the data set, which is a folder then.
        progress: show how far it is.

    Raises:
        UserError: at the first fault, naming the file (and the row group).
    """
    with session(progress=progress) as call, PhaseBar(call.screen) as bar:
        ids = None if forgotten is None else read_users(Path(forgotten))
        if is_url(place := os.fspath(data)) and ids is None:
            manifest = verify_store(open_store(place), bar.update)
            return Dataset.of(open_folder(place), manifest, up_to_date=True, address=place)
        if is_url(place):
            raise UserError(f"{place}: --forgotten works on folders; copy the data set to a disk")
        folder = Path(data)
        return Dataset.of(folder, verify_folder(folder, bar.update, ids), up_to_date=True)
