"""A folder in which bash runs job scripts, with stand-ins for Slurm."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from ltrec.launch.slurm.job import Job
from ltrec.launch.slurm.script import fill_script, shipped_script

HOSTILE = "r'; touch PWNED; $(touch PWNED) `touch PWNED` \"& *\\"

# srun: writes its arguments, line by line, and its environment, does what $SRUN says, and returns that.
SRUN = """#!/usr/bin/env bash
printf "%s\\n" "$@" >"$ARGUMENTS"
printf "%s\\n" "${PYTHONPATH:-}" >"$ARGUMENTS.path"
printf "%s\\n" "$OMP_NUM_THREADS" >"$ARGUMENTS.threads"
env >"$ARGUMENTS.env"
eval "$SRUN"
"""
SCONTROL = """#!/usr/bin/env bash
case "$1 $2" in
  "show hostnames") printf 'node-a\\nnode-b\\n' ;;
  "show node") printf 'NodeName=%s Arch=x86_64\\n   %s NodeHostName=x\\n' "$3" "$ADDRESS" ;;
  requeue*) printf '%s\\n' "$2" >"$ARGUMENTS.requeued" ;;
esac
"""


@dataclass
class Site:
    folder: Path
    environment: dict

    def start(self, text, **variables):
        Path("job.sbatch").write_text(text)
        return subprocess.Popen(["bash", "job.sbatch"], env={**self.environment, **variables})

    def run(self, text, srun=":", **variables):
        """(exit code, arguments of srun)"""
        code = self.start(text, SRUN=srun, **variables).wait(60)
        said = self.folder / "arguments"
        return code, said.read_text().splitlines() if said.exists() else []

    def variables(self):
        """What a step finds in its environment."""
        return dict(line.split("=", 1) for line in (self.folder / "arguments.env").read_text().splitlines() if "=" in line)

    def requeued(self):
        """Which job was."""
        said = self.folder / "arguments.requeued"
        return said.read_text().strip() if said.exists() else None


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A folder to run in, with srun and scontrol first on the PATH."""
    for name, text in (("srun", SRUN), ("scontrol", SCONTROL)):
        (tmp_path / "bin").mkdir(exist_ok=True)
        (tmp_path / "bin" / name).write_text(text)
        (tmp_path / "bin" / name).chmod(0o755)
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    environment = {
        "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}",
        "SLURM_JOB_ID": "20011",
        "SLURM_JOB_NODELIST": "node-[a-b]",
        "SLURM_NNODES": "2",
        "SLURM_CPUS_PER_TASK": "3",
        "ARGUMENTS": str(tmp_path / "arguments"),
        "ADDRESS": "NodeAddr=10.0.0.7",
        "SRUN": ":",
    }
    return Site(tmp_path, environment)


def script(*runs, job=None, code=""):
    text = shipped_script().read_text()
    return filled(text, *runs, job=job, code=code)


def filled(text, *runs, job=None, code="", mounts=()):
    where = {"folder": Path.cwd(), "output": Path("slurm-%j.log")}
    return fill_script(text, job or Job(), name="n", **where, runs=runs, python="/py 3", code=code, mounts=mounts)
