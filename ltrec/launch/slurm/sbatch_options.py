"""`--sbatch NAME=VALUE`: what a site wants besides, quoted for an `#SBATCH` line.

Most options of sbatch are welcome. Those are refused that the script sets itself, or that would change whose job it is, where its
words go, or how many processes it has. sbatch takes the beginning of a name for the name, so beginnings are refused with it.
"""

from __future__ import annotations

import re

from ltrec.core.errors import UserError

_OPTION = re.compile(r"([a-z][a-z-]*)(?:=(.*))?", re.DOTALL)
_HARMLESS = re.compile(r"[\w.,:@%+/*&|()\[\]=-]+")

_LOGS = "training writes runs/NAME/launch/train.log and Slurm slurm-JOB.log beside it"
_TASKS = "--processes, --nodes and --python say how many tasks there are"
_GPUS = "use --gpus-per-node"
_NOT_YOURS = "a job runs as whoever submits it"
_HERE = "ltrec reads what sbatch says"
_CONTAINER = "use --container and --mount: only training belongs into the container, not the script"

REFUSED = {
    "account": "use --account",
    "array": "use --array-seeds or --sweep",
    "chdir": "the job runs where it is submitted: change to that folder first",
    "container": _CONTAINER,
    "cpus-per-gpu": "use --cpus",
    "cpus-per-task": "use --cpus",
    "dependency": "use --after",
    "error": _LOGS,
    "external": "the job has a script",
    "gid": _NOT_YOURS,
    "gpus": _GPUS,
    "gpus-per-node": _GPUS,
    "gpus-per-socket": _GPUS,
    "gpus-per-task": _GPUS,
    "help": _HERE,
    "input": "training reads no input",
    "job-name": "use name=...",
    "no-requeue": "a job that does not come back loses its run's place; use a --time that suffices",
    "nodes": "use --nodes",
    "ntasks": _TASKS,
    "ntasks-per-core": _TASKS,
    "ntasks-per-gpu": _TASKS,
    "ntasks-per-node": _TASKS,
    "ntasks-per-socket": _TASKS,
    "open-mode": _LOGS,
    "output": _LOGS,
    "parsable": _HERE,
    "partition": "use --partition",
    "quiet": _HERE,
    "requeue": "the script asks for it",
    "signal": "use --notice",
    "test-only": "use --dry-run",
    "time": "use --time",
    "tres-per-task": "use --cpus and --gpus-per-node",
    "uid": _NOT_YOURS,
    "usage": _HERE,
    "verbose": _HERE,
    "version": _HERE,
    "wait": "ltrec submits and returns; --after makes another job wait",
    "wrap": "the script is what runs; --setup puts lines of yours into it",
}
"""Options of sbatch -> why not, or what to use instead. What begins with `container-` (Pyxis) goes with `container`."""


def directive(option: str) -> str:
    """`qos=high` -> `--qos=high`, with its value quoted as sbatch wants it.

    Raises:
        UserError: it is no option, or one that is refused.
    """
    found = _OPTION.fullmatch(option)
    if found is None or not (found[2] or "x").isprintable() or found[2] == "":
        raise UserError(f"--sbatch {option!r}: write name or name=value, such as qos=high")
    name, value = found[1], found[2]
    refused = next((known for known in REFUSED if known.startswith(name)), "container" if name.startswith("container-") else None)
    if refused is not None:
        which = "" if refused == name else f" (sbatch reads {refused})" if refused.startswith(name) else ""
        raise UserError(f"--sbatch {option}{which}: {REFUSED[refused]}")
    if re.search("hetjob|packjob", option, re.IGNORECASE):  # which sbatch looks for anywhere in the line
        raise UserError(f"--sbatch {option}: the job is one, of equal nodes")
    return f"--{name}" if value is None else f"--{name}={quoted(value)}"


def quoted(text: str) -> str:
    """For an `#SBATCH` line: in double quotes unless it is harmless, with what Slurm reads specially escaped.

    Raises:
        UserError: the text holds a line break or another control character.
    """
    if not text.isprintable():
        raise UserError(f"{text!r} cannot be written into a job script")
    if _HARMLESS.fullmatch(text):
        return text
    return '"' + re.sub(r'(["\\])', r"\\\1", text) + '"'
