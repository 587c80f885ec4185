"""A script as a process of its own, in the environment of its library and of one thread."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.harness.children import say
from benchmarks.harness.ledger import Line
from benchmarks.peers.environment import TORCH_INDEX, default_folder, python_of
from benchmarks.peers.tables import System

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "ARROW_NUM_THREADS"), "1")


@dataclass(slots=True)
class Processes:
    """Those of one call of a command.

    Attributes:
        out: folder for jobs and a log for each library.
        environments: folder of environments.
        torch_index: where their torch is taken from.
        failed: what went wrong.
    """

    out: Path
    environments: Path = field(default_factory=default_folder)
    torch_index: str = TORCH_INDEX
    failed: list[str] = field(default_factory=list)

    def python(self, system: System) -> Path | None:
        """The interpreter that runs a library's script; None where it cannot be had."""
        if system.requirements is None:
            return Path(sys.executable)
        return python_of(system.requirements.absolute(), self.environments, self.torch_index)

    def figures(self, system: System, python: Path, job: dict[str, Any], label: str) -> Line | None:
        """The last line that a script prints, with the machine; None when it failed, which is said."""
        work = self.out / "work"
        shutil.rmtree(work, ignore_errors=True)
        (work / "inside").mkdir(parents=True)
        place = work / "job.json"
        place.write_text(json.dumps(job | {"folder": str((work / "inside").absolute()), "parent": os.getpid()}))
        environment = os.environ | ONE_THREAD
        if system.requirements is not None:
            environment.pop("PYTHONPATH", None)
        logged = self.out / f"{system.script.stem}.log"
        with logged.open("w") as log:
            words = [str(python), str(system.script), str(place.absolute())]
            done = subprocess.run(words, stdout=subprocess.PIPE, stderr=log, text=True, env=environment)
        lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
        if done.returncode or not lines:
            say(f"FAILED {label}: exit code {done.returncode}; the log is {logged}")
            self.failed.append(label)
            return None
        machine = f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
        found: Line = {"machine": machine, **json.loads(lines[-1])}
        say(f"{label}: {found}")
        return found
