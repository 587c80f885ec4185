"""The job script: slurm/train.sbatch with two of its blocks replaced, and lines added to the third.

    # >>> what Slurm is asked for      # >>> what is run                       # >>> what comes first
    #SBATCH --nodes=2                  run_folders=(runs/a 'runs/b c')         module load cuda
    # <<<                              # <<<                                   # <<<

The script contains no settings of a run: it names run folders, and each holds its resolved config. Paths and values are quoted for
the shell, numbers and names have been checked, and only the third block is shell text of the user. A site's own version of the
script keeps everything outside the blocks.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path

from ltrec.core.errors import UserError
from ltrec.launch.slurm.job import Job
from ltrec.launch.slurm.setup_lines import refuse_clashes

RESOURCES, RUN, SETUP = "# >>> what Slurm is asked for", "# >>> what is run", "# >>> what comes first"
_END = "# <<<"
_PACKAGE = Path(__file__).resolve().parents[2]


def shipped_script(package: Path = _PACKAGE) -> Path:
    """slurm/train.sbatch: inside the package (wheel), else beside it (checkout)."""
    in_wheel = package / "share" / "slurm"
    return (in_wheel if in_wheel.is_dir() else package.parent / "slurm") / "train.sbatch"


def read_script(path: Path | None) -> str:
    """The text of the shipped script, or of a site's version.

    Raises:
        UserError: there is no such file.
    """
    try:
        return (path or shipped_script()).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError(f"--script {path}: no such file; copy {shipped_script()} and edit it") from None


def fill_script(
    script: str,
    job: Job,
    *,
    name: str,
    folder: Path,
    output: Path,
    runs: Sequence[Path],
    python: str,
    code: str,
    mounts: Sequence[str],
) -> str:
    """The script of a job.

    Args:
        script: the text of slurm/train.sbatch or of a site's version.
        job: its resources.
        name: of the job.
        folder: working folder of the job, to which paths are relative.
        output: Slurm's own log.
        runs: run folders, one per task of the array.
        python: the interpreter.
        code: folder of the package inside each run folder; empty = the installed package.
        mounts: FROM:TO, besides the working folder.

    Raises:
        UserError: the script lacks a block, ignores a setting, or has a variable that --env would change.
    """
    settings: dict[str, str | int] = {
        "processes_per_node": job.processes,
        "form": job.form,
        "python": shlex.quote(python),
        "code": _quoted_value(code),
        "container": _quoted_value(job.container),
        "mounts": _array(mounts),
        "environment": _array(job.env),
        "stage": _quoted_value(job.stage or ""),
        "max_restarts": job.max_restarts,
        "profile": job.profile,
        "max_requeues": 200,
    }
    refuse_clashes(job.env, script)
    folders = ["run_folders=(", *(f"  {shlex.quote(str(run))}" for run in runs), ")"]
    script = _with_block(script, RESOURCES, lambda _: job.directives(name, folder, output, len(runs)))
    script = _with_block(script, RUN, lambda _: [*folders, *(f"{key}={value}" for key, value in settings.items())])
    _refuse_unread(script, {name for name in ("container", "mounts", "environment", "stage") if settings[name] not in ("", "()")})
    return _with_block(script, SETUP, lambda lines: [*lines, *job.setup]) if job.setup else script


def _quoted_value(text: str) -> str:
    return shlex.quote(text) if text else ""


def _array(texts: Sequence[str]) -> str:
    return f"({' '.join(map(shlex.quote, texts))})"


def _with_block(script: str, title: str, change: Callable[[Sequence[str]], Iterable[str]]) -> str:
    """The script with the lines of one block changed."""
    before, begin, rest = script.partition(f"\n{title}\n")
    lines, end, after = rest.partition(f"\n{_END}\n")
    if not (begin and end):
        raise UserError(f"the script has no block '{title}' ... '{_END}'; take slurm/train.sbatch as a model")
    return before + begin + "\n".join(change(lines.split("\n"))) + end + after


def _refuse_unread(script: str, names: Collection[str]) -> None:
    """Refuse a site's script that is older than a setting and would ignore it silently."""
    for name in sorted(names):
        if not re.search(rf"\$\{{?#?{name}\b", script):
            raise UserError(
                f"the script does nothing with its setting {name!r}; take slurm/train.sbatch of this version as a model"
            )
