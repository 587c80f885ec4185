"""The code of a run, copied into its folder: a job that waits in the queue, or is requeued, runs the code that was submitted.

runs/<name>/code/<digest>/ltrec/...      the package, when it lies in a checkout; an installed one does not change
runs/<name>/code/<digest>/commit.json    what git says of it, which the run's provenance repeats
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from ltrec.core.storage.atomic import atomic_write_text, canonical_json
from ltrec.core.storage.run_folder import COMMIT
from ltrec.tracking.code import PACKAGE, code_digest, package_files
from ltrec.tracking.provenance import git_state


def is_editable(package: Path = PACKAGE) -> bool:
    """Whether the package lies where people edit it."""
    return not {"site-packages", "dist-packages"} & set(package.parts)


def snapshot(folder: Path, package: Path = PACKAGE) -> Path:
    """Copy the package to `folder`/<digest> unless it is there; returns that folder, whole or not there at all."""
    final = folder / code_digest(package)
    if final.exists():
        return final
    temporary = folder / f".{final.name}.{os.getpid()}.tmp"
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        for path in package_files(package):
            copy = temporary / package.name / path.relative_to(package)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
        if (state := git_state(package)) is not None:
            atomic_write_text(temporary / COMMIT, canonical_json(state))
        temporary.rename(final)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return final
