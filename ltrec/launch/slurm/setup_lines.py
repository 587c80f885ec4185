"""Additions to the job script: `--setup` lines, which are shell text, and `--env` variables, which are quoted values."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence

from ltrec.core.errors import UserError, first_line

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_BLOCK_MARK = re.compile(r"^# (>>>|<<<)", re.MULTILINE)
_ASSIGNED = re.compile(r"^\s*(?:for )?([a-z_][a-z0-9_]*)(?:\+?=| in )", re.MULTILINE)

_SHELL = "it belongs to the shell"
_TRAINING = "the script and torchrun set it"
RESERVED = {
    "PATH": "this would replace the whole path; use --setup 'export PATH=/my/bin:$PATH'",
    "CUDA_VISIBLE_DEVICES": "Slurm decides which GPUs belong to the job",
    "PYTHONSAFEPATH": _TRAINING,
    "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": _TRAINING,
    **dict.fromkeys(("MASTER_ADDR", "MASTER_PORT", "RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE"), _TRAINING),
    **dict.fromkeys(("GROUP_RANK", "GROUP_WORLD_SIZE", "ROLE_RANK", "ROLE_WORLD_SIZE", "LTREC_STAGE"), _TRAINING),
    **dict.fromkeys(("UID", "EUID", "PPID", "IFS", "ENV", "PWD", "OLDPWD", "SHLVL", "SHELLOPTS", "GROUPS"), _SHELL),
    **dict.fromkeys(("LINENO", "RANDOM", "SECONDS", "FUNCNAME", "DIRSTACK", "PIPESTATUS", "_"), _SHELL),
}
"""Variables that `--env` may not set -> why."""

_RESERVED_PREFIXES = {"SLURM_": "Slurm sets it", "SBATCH_": "use --sbatch", "SRUN_": "Slurm reads it", "BASH": _SHELL}
_RESERVED_PREFIXES |= {"TORCHELASTIC_": _TRAINING, "PET_": "torchrun reads its options from it"}


def check_setup(lines: Sequence[str]) -> None:
    """Refuse shell text that bash cannot parse, or that would not end before the rest of the script.

    Raises:
        UserError: naming the text and the error of bash.
    """
    text = "\n".join(lines)
    if not all(character.isprintable() or character in "\n\t" for character in text) or _BLOCK_MARK.search(text):
        raise UserError(f"--setup {text!r} cannot be written into a job script")
    if (bash := shutil.which("bash")) is None:
        return
    done = subprocess.run([bash, "-n"], input=text + "\n", capture_output=True, text=True, check=False)
    if done.returncode or done.stderr:
        raise UserError(
            f"--setup {text!r} is not a complete shell command: {first_line(Exception(done.stderr)).removeprefix('bash: ')}"
        )


def check_environment(assignments: Sequence[str]) -> None:
    """Refuse `--env` values that are not of the form NAME=value, or whose variables are reserved.

    Raises:
        UserError: naming the value.
    """
    names = [assignment.partition("=")[0] for assignment in assignments]
    for assignment, name in zip(assignments, names, strict=True):
        if "=" not in assignment or not _NAME.fullmatch(name) or not assignment.isprintable():
            raise UserError(
                f'--env {assignment!r}: write NAME=value, on one line; to pass on a variable of this shell: NAME="$NAME"'
            )
        family = next((why for prefix, why in _RESERVED_PREFIXES.items() if name.startswith(prefix)), None)
        if why := RESERVED.get(name, family):
            raise UserError(f"--env {assignment}: {why}")
        if names.count(name) > 1:
            raise UserError(f"--env {name}=... is given {names.count(name)} times")


def refuse_clashes(assignments: Sequence[str], script: str) -> None:
    """Refuse variables that the job script uses itself.

    Raises:
        UserError: naming the first.
    """
    own = set(_ASSIGNED.findall(script))
    for name in _names(assignments):
        if name in own:
            raise UserError(f"--env {name}=...: the job script has a variable of that name")


def stage_of(text: str | None) -> str | None:
    """`--stage` in the form of the script: `SLURM_TMPDIR` and `${SLURM_TMPDIR}` become `$SLURM_TMPDIR`; a folder stays."""
    found = re.fullmatch(r"\$?\{?([A-Za-z_][A-Za-z0-9_]*)\}?", text or "")
    return text if found is None else f"${found[1]}"


def _names(assignments: Sequence[str]) -> Iterator[str]:
    return (assignment.partition("=")[0] for assignment in assignments)
