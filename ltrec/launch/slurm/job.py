"""The resources of a Slurm job, checked before Slurm sees them, and its `#SBATCH` lines.

All of it ends up in a shell script, so names, counts and times are restricted to Slurm's own alphabet. Paths and values may be any
single line; they are quoted. Only `--setup` is shell text, and it can be given on the command line only.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ltrec.core.errors import UserError
from ltrec.core.secrets import masked, secrets_of
from ltrec.launch.slurm.sbatch_options import directive, quoted
from ltrec.launch.slurm.setup_lines import check_environment, check_setup

FORMS = ("torchrun", "python")
"""How processes start: one torchrun per node, or one Slurm task per process."""

_ALPHABET = {
    "nodes": r"[1-9]\d*(-[1-9]\d*)?",
    "time": r"\d+(:\d{1,2}){0,2}|\d+-\d+(:\d{1,2}){0,2}",
    "partition": r"[\w.,-]+",
    "account": r"[\w.@-]+",
    "after": r"\d+(_\d+)?(:\d+(_\d+)?)*",
}
_STAGE = re.compile(r"\$[A-Za-z_][A-Za-z0-9_]*|/(?!$)[^\x00-\x1f\x7f]*")
_NODE_VARIABLE = re.compile(r'="?\$[^;\n]*')
_EXAMPLE = {"nodes": "2 or 1-4", "time": "30, 04:00:00 or 2-00", "partition": "gpu", "account": "my-group", "after": "1234"}

_SMALLEST = {"gpus_per_node": 0, "processes_per_node": 0, "cpus_per_process": 1, "notice": 1, "max_restarts": 0, "profile": 0}
_OPTION = {"cpus_per_process": "cpus", "processes_per_node": "processes"}
"""Field -> its option, where that has another name."""


@dataclass(frozen=True, slots=True)
class Job:
    """Resources and form of a job.

    Raises:
        UserError: Slurm would not understand a value, or it could change the script.
    """

    nodes: str = "1"
    """A number, or a range such as 1-4 from which Slurm chooses at every requeue."""
    gpus_per_node: int = 0
    """GPUs per node; by default also the number of processes."""
    processes_per_node: int = 0
    """Processes per node; 0 = one per GPU, or one without GPUs."""
    cpus_per_process: int = 4
    """Cores per process."""
    time: str = "04:00:00"
    """Time limit of one attempt."""
    notice: int = 120
    """Seconds before that limit at which training is signalled to stop."""
    partition: str = ""
    """Slurm's partition; empty = its default."""
    account: str = ""
    """Slurm's account; empty = its default."""
    after: str = ""
    """Jobs that must succeed first."""
    extra: tuple[str, ...] = ()
    """Further options of sbatch, such as qos=high."""
    form: str = "torchrun"
    """torchrun or python."""
    container: str = ""
    """Image to run in."""
    mount: tuple[str, ...] = ()
    """Further mounts of the container: SRC[:DST[:ro]]."""
    setup: tuple[str, ...] = ()
    """Shell lines that run in the job before training."""
    env: tuple[str, ...] = ()
    """Variables of the job, NAME=value."""
    stage: str | None = None
    """Folder on every node, or $NAME of a variable with one, from which training reads a copy of its data; None = no copy."""
    max_restarts: int = 0
    """torchrun: restarts of crashed processes inside the job."""
    profile: int = 0
    """Steps to record as a trace; 0 = none."""

    def __post_init__(self) -> None:
        self._refuse_secrets()  # first: other messages repeat the value
        for name, alphabet in _ALPHABET.items():
            value = getattr(self, name)
            if (value or name in ("nodes", "time")) and not re.fullmatch(alphabet, value):
                raise UserError(f"--{name} {value!r}: write {_EXAMPLE[name]}")
        for option in self.extra:
            directive(option)
        check_setup(self.setup)
        check_environment(self.env)
        if self.mount and not self.container:
            raise UserError(f"--mount {self.mount[0]} is for --container; without one the job sees what the node has")
        if self.stage is not None and not _STAGE.fullmatch(self.stage):
            raise UserError(
                f"--stage {self.stage!r}: write an absolute folder of the nodes, or the name of a variable that holds it there, in "
                "single quotes: '$SLURM_TMPDIR'"
            )
        self._check_numbers()
        if self.notice > seconds_of(self.time) // 2:
            raise UserError(
                f"--notice {self.notice}: with --time {self.time} a job would spend more time on stopping than on training, and "
                "might requeue for ever; raise --time, or lower --notice"
            )
        if self.max_restarts and self.form == "python":
            raise UserError("--max-restarts needs torchrun; leave out --python")

    def _check_numbers(self) -> None:
        least, _, most = self.nodes.partition("-")
        if most and int(most) < int(least):
            raise UserError(f"--nodes {self.nodes}: the smaller number comes first, {most}-{least}")
        for name, smallest in _SMALLEST.items():
            if getattr(self, name) < smallest:
                option = _OPTION.get(name, name.replace("_", "-"))
                raise UserError(f"--{option} must be at least {smallest}; got {getattr(self, name)}")

    def _refuse_secrets(self) -> None:
        """The script stays in the run folder, where others may read it. Variables that a setup line reads on the node are fine."""
        known = secrets_of(os.environ)
        typed = {name: getattr(self, name) for name in ("env", "mount", "setup")}
        typed |= {"sbatch": self.extra, "container": [self.container], "stage": [self.stage or ""]}
        for option, word in [(option, word) for option, words in typed.items() for word in words]:
            text = _NODE_VARIABLE.sub("=", word) if option == "setup" else word
            value = text.partition("=")[2] or text  # 40 hex digits may be a W&B key
            if (masked(text, known), masked(value, known)) != (text, value):
                raise UserError(
                    f"--{option}: a key or password would be written into the run folder; export it before you submit: Slurm "
                    "passes the environment to the job (and use an image file as the container)"
                )

    @property
    def processes(self) -> int:
        """Processes on each node."""
        return self.processes_per_node or self.gpus_per_node or 1

    def directives(self, name: str, folder: Path, output: Path, tasks: int) -> Iterator[str]:
        """The `#SBATCH` lines.

        Args:
            name: of the job.
            folder: working folder of the job.
            output: Slurm's own log; may contain Slurm's patterns.
            tasks: in the array; 1 = no array.
        """
        per_node = self.processes if self.form == "python" else 1
        lines = {
            "job-name": name,
            "chdir": quoted(str(folder)),
            "nodes": self.nodes,
            "ntasks-per-node": per_node,
            "cpus-per-task": self.cpus_per_process * self.processes // per_node,
            "gpus-per-node": self.gpus_per_node or None,
            "time": self.time,
            "partition": self.partition or None,
            "account": self.account or None,
            "dependency": ",".join(self._dependencies(tasks)) or None,
            "array": f"0-{tasks - 1}" if tasks > 1 else None,
            "signal": f"B:USR1@{self.notice}",
            "open-mode": "append",
            "output": quoted(str(output)),
        }
        yield from (f"#SBATCH --{option}={value}" for option, value in lines.items() if value is not None)
        yield "#SBATCH --requeue"
        yield from (f"#SBATCH {directive(option)}" for option in self.extra)

    @property
    def is_apptainer(self) -> bool:
        """Whether the container is an Apptainer image file; any other is for Pyxis."""
        return self.container.endswith(".sif")

    def _dependencies(self, tasks: int) -> Iterator[str]:
        """`after`, and any job of the same name, since two must not write to one run folder. Array tasks share a name."""
        if self.after:
            yield f"afterok:{self.after}"
        if tasks == 1:
            yield "singleton"


def seconds_of(time: str) -> int:
    """Seconds of a time in Slurm's notation: minutes, m:s, h:m:s, days-h, days-h:m, days-h:m:s."""
    days, dash, clock = time.rpartition("-")
    parts = [int(part) for part in clock.split(":")]
    if dash or len(parts) == 3:
        hours, minutes, seconds = [*parts, 0, 0][:3]
    else:
        hours, (minutes, seconds) = 0, [*parts, 0][:2]
    return int(days or 0) * 86400 + hours * 3600 + minutes * 60 + seconds
