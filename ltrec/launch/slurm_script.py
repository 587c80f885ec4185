"""The job script: slurm/train.sbatch with its two blocks written anew.

    # >>> what Slurm is asked for          # >>> what is run
    #SBATCH --nodes=2                      run_folders=(runs/a 'runs/b c')
    # <<<                                  # <<<

No setting of a run is in it: the script names run folders, and each holds its resolved config. What is a path or a word is quoted
for the shell; the rest was checked. A site's own version of the script keeps everything outside the blocks.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path

from ltrec.core.errors import UserError
from ltrec.launch.slurm_job import Job

ASKED, RUN = "# >>> what Slurm is asked for", "# >>> what is run"
_END = "# <<<"
_PACKAGE = Path(__file__).resolve().parents[1]


def shipped_script(package: Path = _PACKAGE) -> Path:
    """slurm/train.sbatch: inside the package (wheel), else beside it (checkout)."""
    in_wheel = package / "share" / "slurm"
    return (in_wheel if in_wheel.is_dir() else package.parent / "slurm") / "train.sbatch"


def read_script(path: Path | None) -> str:
    """The text of a site's version, or of the shipped one.

    Raises:
        UserError: there is no such file.
    """
    try:
        return (path or shipped_script()).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError(f"--script {path}: no such file; copy {shipped_script()} and edit it") from None


def fill(script: str, job: Job, *, name: str, folder: Path, output: Path, runs: Sequence[Path], python: str, code: str) -> str:
    """The script of this job.

    Args:
        script: the text of slurm/train.sbatch or of a site's version.
        job: what is asked for.
        name: of the job.
        folder: where the job runs, and relative paths begin.
        output: Slurm's own log.
        runs: run folders, one for each task of the array.
        python: the interpreter.
        code: folder inside each run folder with the package to run; empty = the installed one.

    Raises:
        UserError: the script lacks a block.
    """
    settings: dict[str, str | int] = {
        "processes_per_node": job.processes,
        "form": job.form,
        "python": shlex.quote(python),
        "code": shlex.quote(code) if code else "",
        "container": shlex.quote(job.container) if job.container else "",
        "max_restarts": job.max_restarts,
        "profile": job.profile,
        "max_requeues": 200,
    }
    folders = ["run_folders=(", *(f"  {shlex.quote(str(run))}" for run in runs), ")"]
    script = _replace(script, ASKED, job.directives(name, folder, output, len(runs)))
    return _replace(script, RUN, [*folders, *(f"{key}={value}" for key, value in settings.items())])


def _replace(script: str, title: str, lines: Iterable[str]) -> str:
    """The text with the lines of one block replaced."""
    before, begin, rest = script.partition(f"\n{title}\n")
    _, end, after = rest.partition(f"\n{_END}\n")
    if not (begin and end):
        raise UserError(f"the script has no block '{title}' ... '{_END}'; take slurm/train.sbatch as a model")
    return before + begin + "\n".join(lines) + end + after
