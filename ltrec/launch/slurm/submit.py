"""`ltrec launch slurm`: write the run folders and the job script, and hand the script to sbatch.

runs/<name>/config.yaml            the resolved config, which training reads
runs/<name>/code/<digest>/         the package, when it lies in a checkout
runs/<name>/launch/train.sbatch    the script; `sbatch` it again to go on
runs/<name>/launch/train.log       what training says, over all attempts; slurm-<job>.log holds what Slurm says
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
from ltrec.launch.slurm.container_mounts import View, view_of
from ltrec.launch.slurm.job import Job
from ltrec.launch.slurm.script import fill
from ltrec.run.folder.config_file import folder_of
from ltrec.run.folder.find_run import find_run
from ltrec.run.folder.launch_snapshot import keep

_SAID = tuple(
    f"SBATCH_{option}"
    for option in (
        *("ARRAY_INX", "JOB_NAME", "NO_REQUEUE", "OPEN_MODE", "REQUEUE", "SIGNAL", "TIMELIMIT", "WAIT", "ERROR", "INPUT", "OUTPUT"),
        *("GPUS", "GPUS_PER_NODE", "GPUS_PER_TASK", "CPUS_PER_GPU"),
    )
)
"""Variables that sbatch reads, of options that every script has or must not have."""


def script_of(script: str, job: Job, runs: Sequence[RunConfig], *, name: str, code: str = "") -> str:
    """The filled script; nothing is written.

    Raises:
        UserError: a run's folder holds another run, or a value cannot be written into a script.
    """
    folders = [find_run(config)[0] for config in runs]
    return fill(
        script,
        job,
        name=name,
        folder=Path.cwd(),
        output=folders[0].job_log,
        runs=[run.path for run in folders],
        python="python3" if job.container else sys.executable,
        code=code,
        mounts=[str(mount) for mount in seen_by(job, runs).mounts],
    )


def seen_by(job: Job, runs: Sequence[RunConfig]) -> View:
    """What the job's container sees, with notes on what it will not; nothing to say without a container.

    Raises:
        UserError: a path cannot be mounted.
    """
    if not job.container:
        return View()
    variables = {**os.environ, **dict(pair.split("=", 1) for pair in job.env)}
    asked = [*job.mount, *([job.stage] if job.stage and job.stage.startswith("/") else [])]
    return view_of(runs, asked, folder=Path.cwd(), apptainer=job.is_apptainer, variables=variables)


def prepare(script: str, job: Job, runs: Sequence[RunConfig], *, name: str) -> Path:
    """Write configs, code and script into the run folders; returns the script to submit, that of the first run.

    Raises:
        UserError: as `script_of`, before anything is written.
    """
    script_of(script, job, runs, name=name)
    text = script_of(script, job, runs, name=name, code=keep(runs))
    scripts = [folder_of(config).job_script for config in runs]
    for path in scripts:
        atomic_write_text(path, text)
    return scripts[0]


def submit(script: Path, job: Job) -> str:
    """Hand a script to sbatch; returns the job's id.

    A variable such as SBATCH_TIMELIMIT would overrule the script without a word: sbatch does not see those of what the script says.

    Raises:
        UserError: there is no sbatch, or it refuses, in its own words.
    """
    sbatch = shutil.which("sbatch")
    if sbatch is None:
        raise UserError(f"there is no sbatch here; the job is ready: run 'sbatch {script}' on a login node of the cluster")
    words, variables = [sbatch, "--parsable", str(script)], _unruled(os.environ, job)
    done = subprocess.run(words, env=variables, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = " ".join(line.removeprefix("sbatch: error: ") for line in done.stderr.splitlines()) or "no reason given"
        raise UserError(f"sbatch refused {script}: {reason}")
    return done.stdout.strip().partition(";")[0]  # id;cluster


def _unruled(variables: Mapping[str, str], job: Job) -> dict[str, str]:
    """The environment without what sbatch would put before the script's own lines."""
    said = {*_SAID, *(name for name, value in (("SBATCH_ACCOUNT", job.account), ("SBATCH_PARTITION", job.partition)) if value)}
    said |= {f"SBATCH_{option.partition('=')[0].upper().replace('-', '_')}" for option in job.extra}
    return {name: value for name, value in variables.items() if name not in said}
