"""`ltrec.inspect`: what is in a prepared data set, without reading its shards."""

from __future__ import annotations

import os

from ltrec.api.results.dataset import Dataset
from ltrec.data.remote.folder import manifest_of, open_folder


def inspect(data: str | os.PathLike[str]) -> Dataset:
    """Open a prepared data set: `.manifest` describes it, and `.manifest.columns` its columns.

    Args:
        data: the folder that `ltrec.prepare` wrote, or its address.

    Raises:
        UserError: there is none, or its manifest is damaged.
    """
    folder = open_folder(data)
    return Dataset.of(folder, manifest_of(folder), up_to_date=True, address=os.fspath(data))
