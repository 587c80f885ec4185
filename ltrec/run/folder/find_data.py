"""The data set of a run, wherever both lie by now.

A run's relative paths begin where it was started, which its config.yaml says in a comment. Data are looked for there first, then
from the working folder; `--data DIR` names them. Wherever they are found, the manifest's digest proves that they are the run's.
"""

from __future__ import annotations

from pathlib import Path

from ltrec.config.tree import RunConfig
from ltrec.core.errors import UserError
from ltrec.core.storage.run_folder import RunFolder
from ltrec.data.manifest import MANIFEST, Manifest
from ltrec.run.folder.config_file import paths_begin
from ltrec.run.folder.provenance_file import data_digest


def named_data(run: RunFolder, data: Path) -> Path:
    """The folder that `--data` names.

    Raises:
        UserError: it holds no data set, or not the run's.
    """
    digest, theirs = Manifest.load(data).digest, data_digest(run)
    if theirs not in (None, digest):
        raise UserError(
            f"--data {data} holds another data set (digest {digest[:12]}) than {run.path} was trained on ({str(theirs)[:12]})"
        )
    return data


def find_data(run: RunFolder, config: RunConfig) -> Path:
    """The folder of the run's data set; `data.path` as it is written when that will do.

    Raises:
        UserError: it is nowhere, or another data set lies in its place.
    """
    written, theirs = Path(config.data.path), data_digest(run)
    if not config.data.path:
        return written
    places = list(dict.fromkeys([paths_begin(run) / written, written.absolute()]))
    found = {place: Manifest.load(place).digest for place in places if (place / MANIFEST).exists()}
    for place, digest in found.items():
        if theirs in (None, digest):
            return written if place == written.absolute() else place
    there = [f"{place} holds another data set (digest {digest[:12]})" for place, digest in found.items()]
    there = there or [f"{place} is not a prepared data set" for place in places]
    raise UserError(
        f"{run.path} was trained on data.path={written}"
        + (f" (digest {theirs[:12]})" if theirs else "")
        + f", and {', '.join(there)}; say where it is with --data DIR, or data.path=DIR when you train"
    )
