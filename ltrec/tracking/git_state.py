"""Commit and cleanliness of a folder of code."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

from ltrec.core.storage.run_folder import COMMIT


def git_state(folder: Path) -> dict[str, Any] | None:
    """Commit and cleanliness of the repository that holds `folder`; None outside one or without git.

    A copy made for a job has a file beside it that records its origin.
    """
    recorded = folder.parent / COMMIT
    if recorded.exists():
        return dict(json.loads(recorded.read_text(encoding="utf-8")))
    git = shutil.which("git")
    if git is None:
        return None

    def git_output(*arguments: str) -> str | None:
        done = subprocess.run([git, "-C", str(folder), *arguments], capture_output=True, text=True, check=False)
        return done.stdout.strip() if done.returncode == 0 else None

    commit = git_output("rev-parse", "HEAD")
    return (
        None if commit is None else {"commit": commit, "dirty": bool(git_output("status", "--porcelain", "--untracked-files=no"))}
    )
