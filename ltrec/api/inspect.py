"""`ltrec.inspect`: what is in a prepared data set, without reading its shards."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from ltrec.api.results.inspection import Inspection
from ltrec.core.extension.deferred import Deferred
from ltrec.core.extension.extras import require
from ltrec.data.overview import item_counts, popularity, shard_sizes
from ltrec.data.remote.folder import manifest_of, open_folder

if TYPE_CHECKING:
    from ltrec.reporting.data_page import write_picture
else:
    write_picture = Deferred("ltrec.reporting.data_page:write_picture")


def inspect(data: str | os.PathLike[str], picture: str | os.PathLike[str] | None = None) -> Inspection:
    """Look at a prepared data set: `.manifest` describes it, and `.manifest.columns` its columns.

    Args:
        data: the folder that `ltrec.prepare` wrote, or its address.
        picture: also write its picture: a self-contained page (.html) or an image (.png); extra `report`.

    Raises:
        UserError: there is none, it is damaged, or `picture` has another suffix.
    """
    folder = open_folder(data)
    manifest = manifest_of(folder)
    count_V = item_counts(folder, manifest)
    if picture is not None:
        require("report", "a picture")
        write_picture(manifest, count_V, Path(picture))
    return Inspection(
        Path(folder),
        manifest.name,
        manifest.digest,
        up_to_date=True,
        address=os.fspath(data),
        manifest=manifest,
        count_V=count_V,
        popularity=popularity(count_V),
        shard_sizes=shard_sizes(manifest),
    )
