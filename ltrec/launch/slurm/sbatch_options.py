"""`--sbatch NAME=VALUE`: further options of sbatch, quoted for an `#SBATCH` line.

Refused are options that the script sets itself, or that would change the owner of the job, its logs, or its number of processes.
sbatch accepts abbreviations, so the abbreviations of a refused option are refused too.
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
_HERE = "ltrec reads the output of sbatch"
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
    "external": "the job runs a script",
    "gid": _NOT_YOURS,
    "gpus": _GPUS,
    "gpus-per-node": _GPUS,
    "gpus-per-socket": _GPUS,
    "gpus-per-task": _GPUS,
    "help": _HERE,
    "input": "training reads no input",
    "job-name": "use name=...",
    "no-requeue": "a job that is not requeued does not finish its run; use a --time that is long enough",
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
    "requeue": "the script sets it",
    "signal": "use --notice",
    "test-only": "use --dry-run",
    "time": "use --time",
    "tres-per-task": "use --cpus and --gpus-per-node",
    "uid": _NOT_YOURS,
    "usage": _HERE,
    "verbose": _HERE,
    "version": _HERE,
    "wait": "ltrec submits and returns; --after makes another job wait",
    "wrap": "the job runs the script; use --setup to add lines to it",
}
"""Options of sbatch -> why they are refused, or what to use instead. So are those that begin with `container-` (Pyxis)."""


def directive(option: str) -> str:
    """`qos=high` -> `--qos=high`, with its value quoted as sbatch wants it.

    Raises:
        UserError: it is not an option, or it is refused.
    """
    found = _OPTION.fullmatch(option)
    if found is None or not (found[2] or "x").isprintable() or found[2] == "":
        raise UserError(f"--sbatch {option!r}: write name or name=value, such as qos=high")
    name, value = found[1], found[2]
    refused = next((known for known in REFUSED if known.startswith(name)), "container" if name.startswith("container-") else None)
    if refused is not None:
        which = "" if refused == name else f" (sbatch reads {refused})" if refused.startswith(name) else ""
        raise UserError(f"--sbatch {option}{which}: {REFUSED[refused]}")
    if re.search("hetjob|packjob", option, re.IGNORECASE):  # sbatch looks for these anywhere in the line
        raise UserError(f"--sbatch {option}: heterogeneous jobs are not supported")
    return f"--{name}" if value is None else f"--{name}={quoted(value)}"


def quoted(text: str) -> str:
    """A value for an `#SBATCH` line, in double quotes and escaped where necessary.

    Raises:
        UserError: the text contains a line break or another control character.
    """
    if not text.isprintable():
        raise UserError(f"{text!r} cannot be written into a job script")
    if _HARMLESS.fullmatch(text):
        return text
    return '"' + re.sub(r'(["\\])', r"\\\1", text) + '"'
