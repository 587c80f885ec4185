"""Where a run came from, when it goes on and provenance.json is lost: it is written anew under the run's old identity, aloud."""

from __future__ import annotations

import os
from collections.abc import Callable

from ltrec.core.errors import UserError
from ltrec.run.folder.run_folder import RunFolder


def set_damaged_provenance_aside(run: RunFolder, say: Callable[[str], None]) -> None:
    """Make way for a new provenance.json where a run that goes on has one that cannot be read; a good one is left alone.

    Args:
        run: its folder.
        say: hears one line.
    """
    if not run.provenance.exists():
        return
    try:
        run.read_provenance()
    except UserError as error:
        aside = run.provenance.with_name("provenance.damaged.json")
        os.replace(run.provenance, aside)
        say(f"{error}; it is kept as {aside.name}, and written anew as of now")
