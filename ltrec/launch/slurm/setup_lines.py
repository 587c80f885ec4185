"""What of the user's own goes into the job script: `--setup` lines, which are shell text and come from the command line alone, and
`--env` variables, which are values and never text.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence

from ltrec.core.errors import UserError, first_line

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_BLOCK_MARK = re.compile(r"^# (>>>|<<<)", re.MULTILINE)
_ASSIGNED = re.compile(r"^\s*(?:for )?([a-z_][a-z0-9_]*)(?:\+?=| in )", re.MULTILINE)

_SHELL = "it is the shell's own"
_TRAINING = "the script and torchrun set it"
RESERVED = {
    "PATH": "it would replace the whole path; use --setup 'export PATH=/my/bin:$PATH'",
    "CUDA_VISIBLE_DEVICES": "Slurm says which GPUs are the job's",
    "PYTHONSAFEPATH": _TRAINING,
    "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": _TRAINING,
    **dict.fromkeys(("MASTER_ADDR", "MASTER_PORT", "RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE"), _TRAINING),
    **dict.fromkeys(("GROUP_RANK", "GROUP_WORLD_SIZE", "ROLE_RANK", "ROLE_WORLD_SIZE", "LTREC_STAGE"), _TRAINING),
    **dict.fromkeys(("UID", "EUID", "PPID", "IFS", "ENV", "PWD", "OLDPWD", "SHLVL", "SHELLOPTS", "GROUPS"), _SHELL),
    **dict.fromkeys(("LINENO", "RANDOM", "SECONDS", "FUNCNAME", "DIRSTACK", "PIPESTATUS", "_"), _SHELL),
}
"""Variables that `--env` may not set -> why."""

_FAMILIES = {"SLURM_": "Slurm sets it", "SBATCH_": "use --sbatch", "SRUN_": "Slurm reads it", "BASH": _SHELL}
_FAMILIES |= {"TORCHELASTIC_": _TRAINING, "PET_": "torchrun reads its options from it"}


def check_setup(lines: Sequence[str]) -> None:
    """Refuse shell text that bash could not read, or that would run on into the script.

    Raises:
        UserError: naming the text and what bash says.
    """
    text = "\n".join(lines)
    if not all(character.isprintable() or character in "\n\t" for character in text) or _BLOCK_MARK.search(text):
        raise UserError(f"--setup {text!r} cannot be written into a job script")
    if (bash := shutil.which("bash")) is None:
        return
    done = subprocess.run([bash, "-n"], input=text + "\n", capture_output=True, text=True, check=False)
    if done.returncode or done.stderr:
        raise UserError(f"--setup {text!r} is no whole shell text: {first_line(Exception(done.stderr)).removeprefix('bash: ')}")


def check_environment(words: Sequence[str]) -> None:
    """Refuse `--env` words that are no variables, or whose variables belong to somebody else.

    Raises:
        UserError: naming the word.
    """
    names = [word.partition("=")[0] for word in words]
    for word, name in zip(words, names, strict=True):
        if "=" not in word or not _NAME.fullmatch(name) or not word.isprintable():
            raise UserError(f'--env {word!r}: write NAME=value, on one line; for a value of this shell: NAME="$NAME"')
        family = next((why for prefix, why in _FAMILIES.items() if name.startswith(prefix)), None)
        if why := RESERVED.get(name, family):
            raise UserError(f"--env {word}: {why}")
        if names.count(name) > 1:
            raise UserError(f"--env {name}=... is given {names.count(name)} times")


def refuse_clashes(words: Sequence[str], script: str) -> None:
    """Refuse variables that a job script uses for itself.

    Raises:
        UserError: naming the first.
    """
    own = set(_ASSIGNED.findall(script))
    for name in _names(words):
        if name in own:
            raise UserError(f"--env {name}=...: the job script has a variable of that name")


def stage_of(text: str | None) -> str | None:
    """`--stage` as the script has it: `SLURM_TMPDIR` and `${SLURM_TMPDIR}` are `$SLURM_TMPDIR`; a folder is itself."""
    found = re.fullmatch(r"\$?\{?([A-Za-z_][A-Za-z0-9_]*)\}?", text or "")
    return text if found is None else f"${found[1]}"


def _names(words: Sequence[str]) -> Iterator[str]:
    return (word.partition("=")[0] for word in words)
