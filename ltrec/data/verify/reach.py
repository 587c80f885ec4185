"""Checks of the file of distances: users in order, valid distances, and counts as in the manifest."""

from __future__ import annotations

from pathlib import Path

from ltrec.core import columns as c
from ltrec.core.errors import UserError
from ltrec.data.manifest import MEND, Manifest
from ltrec.data.reach import KNOWN, OF_SPLIT, UNKNOWN, read_reach_file


def check_reach(folder: Path, manifest: Manifest) -> None:
    """Check the file, if the data set has one.

    Raises:
        UserError: at the first fault; names the file.
    """
    if (recorded := manifest.summary.get("reach")) is None:
        return
    path = folder / recorded["path"]
    rows = read_reach_file(path, recorded["sha256"])
    key = rows[c.USER_KEY].to_numpy()
    if (key[1:] <= key[:-1]).any():
        raise UserError(f"{path}: users are not ordered by their key; {MEND}")
    for name in OF_SPLIT.values():
        if strange := sorted(set(rows[name].unique().to_pylist()) - {UNKNOWN, *KNOWN}):
            raise UserError(f"{path}: {name} {strange[0]} is not a distance; {MEND}")
    found = [int((rows[c.REACH_VALID].to_numpy() == distance).sum()) for distance in KNOWN]
    counts = [sum(of_strata) for of_strata in zip(*recorded["valid"], strict=True)]
    if found != counts:
        raise UserError(f"{path} has {found} validation targets at distance 0 to 3, the manifest says {counts}; {MEND}")
