"""The folder on a node where a job keeps its copy of the data: `--stage` of `ltrec launch slurm`.

    python -m ltrec.run.node_copy.place around COMMAND...    run COMMAND, and remove the copy when it ends
    python -m ltrec.run.node_copy.place remove               remove the copy

LTREC_STAGE is a folder on the node, or `$NAME` of a variable that names one there; the job's own folder is created in it.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from ltrec.core.errors import UserError

STAGE = "LTREC_STAGE"
_VARIABLE = re.compile(r"\$(\w+)")


def place_of(variables: Mapping[str, str]) -> Path | None:
    """The job's folder on this node; None without --stage.

    Raises:
        UserError: the variable is not set here, or is not an absolute path.
    """
    if not (stage := variables.get(STAGE, "")):
        return None
    above = stage
    if (found := _VARIABLE.fullmatch(stage)) is not None:
        above = variables.get(found[1], "")
    if not above.startswith("/"):
        raise UserError(f"--stage {stage}: on {os.uname().nodename} it is {above or 'not set'}, which is not an absolute path")
    return Path(above) / f"ltrec-{variables.get('SLURM_JOB_ID', '0')}-{variables.get('SLURMD_NODENAME', os.uname().nodename)}"


def remove(place: Path) -> None:
    """Remove the copy, if it exists and belongs to this user."""
    if os.path.lexists(place) and not place.is_symlink() and place.stat().st_uid == os.geteuid():
        shutil.rmtree(place, ignore_errors=True)


def around(command: list[str], place: Path | None) -> int:
    """Run a command, then remove the copy; returns the exit code. Signals are ignored here: the command receives them as well.

    Of several tasks on a node the first removes the copy, since all end at the same step.
    """
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGHUP):
        signal.signal(number, lambda *_: None)  # not SIG_IGN, which the command would inherit
    code = subprocess.call(command)
    if place is not None and os.environ.get("SLURM_LOCALID", "0") == "0":
        remove(place)
    return 128 - code if code < 0 else code


def main(arguments: list[str]) -> int:
    """Run the command line; returns the exit code."""
    try:
        place = place_of(os.environ)
    except UserError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    if arguments[0] == "around":
        return around(arguments[1:], place)
    if place is not None:
        remove(place)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
