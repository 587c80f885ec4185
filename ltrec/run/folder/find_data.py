"""Find the data set of a run, also after either has moved.

Relative paths refer to the folder where the run was started, which is in a comment of its config.yaml. Data are searched there
first, then relative to the working folder; `--data DIR` overrides both. The manifest's digest proves that they are the right data.
"""

from __future__ import annotations

from pathlib import Path

from ltrec.config.tree import RunConfig
from ltrec.core.errors import UserError
from ltrec.core.storage.remote.url import is_url
from ltrec.core.storage.run_folder import RunFolder
from ltrec.data.manifest import MANIFEST, Manifest
from ltrec.data.remote.folder import read_manifest
from ltrec.run.folder.config_file import base_folder
from ltrec.run.folder.provenance_file import data_digest


def named_data(run: RunFolder, data: str) -> str:
    """The folder or address of `--data`.

    Raises:
        UserError: it holds no data set, or another one than that of the run.
    """
    digest, theirs = read_manifest(data).digest, data_digest(run)
    if theirs not in (None, digest):
        raise UserError(
            f"--data {data} holds another data set (digest {digest[:12]}) than {run.path} was trained on ({str(theirs)[:12]})"
        )
    return data


def find_data(run: RunFolder, config: RunConfig) -> str:
    """The folder of the run's data set; `data.path` unchanged if it is an address, or valid from the working folder.

    Raises:
        UserError: it is not found, or another data set is in its place.
    """
    if is_url(config.data.path) or not config.data.path:
        return named_data(run, config.data.path) if config.data.path else ""
    written, theirs = Path(config.data.path), data_digest(run)
    places = list(dict.fromkeys([base_folder(run) / written, written.absolute()]))
    found = {place: Manifest.load(place).digest for place in places if (place / MANIFEST).exists()}
    for place, digest in found.items():
        if theirs in (None, digest):
            return str(written if place == written.absolute() else place)
    there = [f"{place} holds another data set (digest {digest[:12]})" for place, digest in found.items()]
    there = there or [f"{place} is not a prepared data set" for place in places]
    raise UserError(
        f"{run.path} was trained on data.path={written}"
        + (f" (digest {theirs[:12]})" if theirs else "")
        + f", and {', '.join(there)}; say where it is with --data DIR, or data.path=DIR when you train"
    )
