"""`ltrec launch slurm`: write the run folders and the job script, and submit it.

runs/<name>/config.yaml            the resolved config, which training reads
runs/<name>/code/<digest>/         the package, when it lies in a checkout
runs/<name>/launch/train.sbatch    the script; submit it again to resume
runs/<name>/launch/train.log       output of training, over all attempts; slurm-<job>.log is the output of Slurm
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from ltrec.config.tree import RunConfig
from ltrec.core.errors import UserError
from ltrec.core.storage.atomic import atomic_write_text
from ltrec.launch.slurm.container_mounts import ContainerMounts, container_mounts
from ltrec.launch.slurm.job import Job
from ltrec.launch.slurm.script import fill_script
from ltrec.run.folder.config_file import folder_of
from ltrec.run.folder.find_run import find_run
from ltrec.run.folder.launch_snapshot import save_snapshots

_SCRIPT_OPTIONS = tuple(
    f"SBATCH_{option}"
    for option in (
        *("ARRAY_INX", "JOB_NAME", "NO_REQUEUE", "OPEN_MODE", "REQUEUE", "SIGNAL", "TIMELIMIT", "WAIT", "ERROR", "INPUT", "OUTPUT"),
        *("GPUS", "GPUS_PER_NODE", "GPUS_PER_TASK", "CPUS_PER_GPU"),
    )
)
"""Variables of sbatch for options that the script sets or must not have."""


def script_of(script: str, job: Job, runs: Sequence[RunConfig], *, name: str, code: str = "") -> str:
    """The text of the job script; nothing is written.

    Raises:
        UserError: a folder holds another run, or a value cannot be written into a script.
    """
    folders = [find_run(config)[0] for config in runs]
    return fill_script(
        script,
        job,
        name=name,
        folder=Path.cwd(),
        output=folders[0].job_log,
        runs=[run.path for run in folders],
        python="python3" if job.container else sys.executable,
        code=code,
        mounts=[str(mount) for mount in mounts_of(job, runs).mounts],
    )


def mounts_of(job: Job, runs: Sequence[RunConfig]) -> ContainerMounts:
    """Mounts of the job's container, with notes on paths that it may not see; empty without a container.

    Raises:
        UserError: a path cannot be mounted.
    """
    if not job.container:
        return ContainerMounts()
    variables = {**os.environ, **dict(pair.split("=", 1) for pair in job.env)}
    requested = [*job.mount, *([job.stage] if job.stage and job.stage.startswith("/") else [])]
    return container_mounts(runs, requested, folder=Path.cwd(), apptainer=job.is_apptainer, variables=variables)


def prepare(script: str, job: Job, runs: Sequence[RunConfig], *, name: str) -> Path:
    """Write configs, code and script to the run folders; returns the script of the first run, to be submitted.

    Raises:
        UserError: as in `script_of`, before anything is written.
    """
    script_of(script, job, runs, name=name)
    text = script_of(script, job, runs, name=name, code=save_snapshots(runs))
    scripts = [folder_of(config).job_script for config in runs]
    for path in scripts:
        atomic_write_text(path, text)
    return scripts[0]


def submit(script: Path, job: Job) -> str:
    """Submit a script; returns the job id.

    Variables such as SBATCH_TIMELIMIT would silently override the script, and are hidden from sbatch.

    Raises:
        UserError: there is no sbatch, or it refuses, with its message.
    """
    sbatch = shutil.which("sbatch")
    if sbatch is None:
        raise UserError(f"there is no sbatch here; the job is ready: run 'sbatch {script}' on a login node of the cluster")
    command, variables = [sbatch, "--parsable", str(script)], _without_overrides(os.environ, job)
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = " ".join(line.removeprefix("sbatch: error: ") for line in done.stderr.splitlines()) or "no reason given"
        raise UserError(f"sbatch refused {script}: {reason}")
    return done.stdout.strip().partition(";")[0]  # id;cluster


def _without_overrides(variables: Mapping[str, str], job: Job) -> dict[str, str]:
    """The environment without variables that would override the script's own options."""
    hidden = {
        *_SCRIPT_OPTIONS,
        *(name for name, value in (("SBATCH_ACCOUNT", job.account), ("SBATCH_PARTITION", job.partition)) if value),
    }
    hidden |= {f"SBATCH_{option.partition('=')[0].upper().replace('-', '_')}" for option in job.extra}
    return {name: value for name, value in variables.items() if name not in hidden}
