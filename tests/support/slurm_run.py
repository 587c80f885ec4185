"""A tiny run of PIN as a Slurm job: submitted as a user would, and watched through its files."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from tests.support.commands import ROOT
from tests.support.slurm_cluster import Cluster
from tests.support.timeouts import scaled
from tests.support.tiny_run import tiny_words

EPOCHS = 40  # of four steps
LAST_STEP = 4 * EPOCHS
WORDS = [
    str(ROOT / "conf/method/pin.yaml"),
    "name=r",
    "plugin.switch.by=step",
    "plugin.switch.at=24",
    f"trainer.max_epochs={EPOCHS}",
    "trainer.patience=0",
    "trainer.log_every_steps=1",
    "trainer.checkpoint_every_steps=7",
    "trainer.listen_every_steps=1",
    "tracking.wandb=offline",
]
CPU = ["--gpus-per-node", "0", "--cpus", "1"]


@dataclass(frozen=True)
class SlurmRun:
    """One job of one run."""

    cluster: Cluster
    folder: Path
    job: str

    def log(self) -> str:
        """What training said, over all attempts."""
        log = self.folder / "launch" / "train.log"
        return log.read_text() if log.exists() else ""

    def lines(self) -> int:
        """Lines of metrics.jsonl."""
        metrics = self.folder / "metrics.jsonl"
        return metrics.read_bytes().count(b"\n") if metrics.exists() else 0

    def until_it_said(self, words: str) -> float:
        """Wait for words in the log; returns the seconds."""
        return self._until(lambda: words in self.log(), f"the log says {words!r}")

    def until_lines(self, number: int) -> float:
        """Wait for lines of metrics.jsonl."""
        return self._until(lambda: self.lines() >= number, f"{number} lines of metrics")

    def until_state(self, *states: str) -> str:
        """Wait for a state of the job; returns it."""
        self._until(lambda: self.cluster.state(self.job) in states, f"the job is {' or '.join(states)}")
        return self.cluster.state(self.job)

    def _until(self, condition, what: str) -> float:
        try:
            return self.cluster.until(condition, what)
        except AssertionError as error:
            slurm = "".join(path.read_text() for path in (self.folder / "launch").glob("slurm-*.log"))
            raise AssertionError(f"{error}\nlog: {self.log()[-3000:]}\nSlurm: {slurm}") from None

    def stopped_at(self) -> int:
        """The step of the last stop."""
        return int(re.findall(r"stopped at step (\d+)", self.log())[-1])

    def resumed_at(self) -> int:
        """The step of the last resume."""
        return int(re.findall(r"resuming at step (\d+)", self.log())[-1])


def launch(cluster: Cluster, data: Path, out: Path, *more: str, name: str = "r") -> SlurmRun:
    """`ltrec launch slurm ...`, as a user types it; `more` are words and options."""
    words = [*tiny_words(data, out, *WORDS, f"name={name}"), *CPU, *more]
    command = [sys.executable, "-m", "ltrec", "launch", "slurm", *words]
    done = subprocess.run(command, env=cluster.environment, capture_output=True, text=True, timeout=scaled(120), check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return SlurmRun(cluster, out / name, done.stdout.strip())


def first_step_after(run: SlurmRun, lines: int) -> float:
    """Seconds until metrics.jsonl grows beyond what it was when training stopped."""
    begin = time.monotonic()
    run.until_lines(lines + 1)
    return time.monotonic() - begin
