"""A copy of the code in the run folder: a job that waits in the queue or is requeued runs the code that was submitted.

runs/<name>/code/<digest>/ltrec/...      the package, if it is in a checkout; an installed one does not change
runs/<name>/code/<digest>/commit.json    its git state, which is repeated in the provenance
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from ltrec.core.storage.atomic import atomic_write_text
from ltrec.core.storage.canonical import canonical_json
from ltrec.core.storage.run_folder import COMMIT
from ltrec.tracking.code import PACKAGE, code_digest, package_files
from ltrec.tracking.git_state import git_state


def is_editable(package: Path = PACKAGE) -> bool:
    """Whether the package is a checkout that may be edited."""
    return not {"site-packages", "dist-packages"} & set(package.parts)


def snapshot(folder: Path, package: Path = PACKAGE) -> Path:
    """Copy the package to `folder`/<digest> unless it exists; returns that folder, which appears only when it is complete."""
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
