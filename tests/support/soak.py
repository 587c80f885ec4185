"""A run that is killed many times, beside one that is not; what has been done is kept, so that the soak may be killed as well.

folder/data              the data set, when the soak prepares one
folder/undisturbed/r     the run that nobody kills
folder/disturbed/r       the other one
folder/kept/N            a copy of it as kill N left it: where a soak that was interrupted goes on
folder/logs              what each job printed
folder/ledger.json       the kills so far
"""

from __future__ import annotations

import hashlib
import json
import shutil
import statistics
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import ltrec
from ltrec.core.storage.atomic import atomic_write_text
from tests.support.killable_job import HANG, Job, wait_for
from tests.support.moments import Course, await_moment, met, moment
from tests.support.tiny_run import checkpoint, lines_of, refuse_differences, same


@dataclass
class Kill:
    """One entry of the ledger."""

    aim: str
    met: str
    victim: str
    begun: int | None
    """Step the job had started or resumed at; None when it died before that."""
    step: int
    """Last step in metrics.jsonl when it was dead."""
    kept: int
    """Step of the checkpoint it left; 0 = none."""
    code: int
    seconds: float
    """From the victim's death to the job's end."""


@dataclass
class Ledger:
    """What has been done, with these words and this code."""

    words: list[str]
    code: str
    course: Course | None = None
    kills: list[Kill] = field(default_factory=list)
    hangs: int = 0
    done: bool = False

    def write(self, path: Path) -> None:
        """Atomically."""
        atomic_write_text(path, json.dumps(asdict(self), indent=1) + "\n")


def read_ledger(path: Path) -> Ledger:
    """As it was written."""
    told = json.loads(path.read_text())
    course = None if told["course"] is None else Course(**told["course"])
    return Ledger(**{**told, "course": course, "kills": [Kill(**kill) for kill in told["kills"]]})


def digest_of_code() -> str:
    """Of every module of the package: bits are compared, so both runs must come from the same code."""
    digest = hashlib.sha256()
    for path in sorted(Path(ltrec.__file__).parent.rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def pace_of(run: Path) -> float:
    """Seconds of a step, as a rule."""
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return statistics.median(line["health/step_ms"] for line in lines if "health/step_ms" in line) / 1000


class Soak:
    """Trains twice what `words` say, the second time through so many SIGKILLs.

    Args:
        folder: as above; a soak there that is not finished goes on, unless words or code are others now.
        words: configs and key=value words of `ltrec train` with trainer.log_every_steps=1 and a second stage.
        kills: at least 3.
        say: hears a line about everything.
    """

    def __init__(self, folder: Path, words: list[str], kills: int, say: Callable[[str], None]) -> None:
        self.folder, self.words, self.kills, self.say = folder, words, kills, say
        self.path = folder / "ledger.json"
        self.ledger = Ledger(words, digest_of_code())

    def run(self) -> Ledger:
        """To the end.

        Raises:
            AssertionError: a job hung, ended well though a rank was dead, or the two runs differ.
        """
        self._take_up()
        if self.ledger.course is None:
            self._train_undisturbed()
        for number in range(len(self.ledger.kills), self.kills):
            self._kill(number)
        self._finish()
        self.ledger.done = True
        self.ledger.write(self.path)
        return self.ledger

    def _take_up(self) -> None:
        old = read_ledger(self.path) if self.path.exists() else None
        wanted = (self.ledger.words, self.ledger.code)
        if old is not None and not old.done and (old.words, old.code) == wanted:
            self.ledger = old
            self.say(f"going on in {self.folder} after {len(old.kills)} kills; remove it to begin anew")
        else:
            for name in ("undisturbed", "disturbed", "kept", "logs"):
                shutil.rmtree(self.folder / name, ignore_errors=True)
            self.ledger.write(self.path)
        shutil.rmtree(self.folder / "disturbed", ignore_errors=True)  # perhaps a job that nobody watched went on with it
        if (kept := self._kept(len(self.ledger.kills))).exists():
            shutil.copytree(kept, self.folder / "disturbed" / "r")

    def _kept(self, kills: int) -> Path:
        return self.folder / "kept" / str(kills)

    def _job(self, name: str, log: str) -> Job:
        return Job(self.folder / name, self.words, self.folder / "logs" / f"{log}.log")

    def _train_undisturbed(self) -> None:
        shutil.rmtree(self.folder / "undisturbed", ignore_errors=True)
        began = time.monotonic()
        with self._job("undisturbed", "undisturbed") as job:
            wait_for(job.step, job.process)
            stepped = time.monotonic()
            assert job.end(1800) == 0, job.log.read_text()
        steps = checkpoint(job.run)["global_step"]
        lines = [line for line in lines_of(job.run) if "train/loss" in line]
        stages = [line["stage"] for line in lines]
        epoch = next(index for index, line in enumerate(lines, start=1) if line["epoch"] >= 1)
        self.ledger.course = Course(steps, epoch, stages.index(2), stepped - began, pace_of(job.run))
        self.ledger.write(self.path)
        self.say(f"undisturbed: {self.ledger.course}")

    def _kill(self, number: int) -> None:
        course = self.ledger.course
        due = moment(number, self.kills, course)
        with self._job("disturbed", f"kill-{number + 1}") as job:
            await_moment(job, due, course)
            began = time.monotonic()
            job.kill(due.victim)
            code = self._end(job)
            seconds = time.monotonic() - began
            last = job.run / "checkpoints" / "last.ckpt"
            kept = checkpoint(job.run)["global_step"] if last.exists() else 0
            kill = Kill(due.aim, met(job, course), due.victim, job.begun_at(), job.step(), kept, code, seconds)
        assert code != 0, f"a job whose rank was killed ended well: {job.log}"
        before = self.ledger.kills[-1].kept if self.ledger.kills else 0
        assert kill.begun in (None, before), f"{job.log}: resumed at {kill.begun}, and the checkpoint was of step {before}"
        assert kept >= before, f"{job.log}: the checkpoint went back from step {before} to {kept}"
        self._note(kill, job.run)

    def _note(self, kill: Kill, run: Path) -> None:
        """Into the ledger, last: what it speaks of is there."""
        done = len(self.ledger.kills) + 1
        shutil.rmtree(self._kept(done), ignore_errors=True)
        if run.exists():
            shutil.copytree(run, self._kept(done))
        self.ledger.kills.append(kill)
        self.ledger.write(self.path)
        shutil.rmtree(self._kept(done - 1), ignore_errors=True)
        self.say(f"kill {done:2d} of {self.kills}: {tell(kill)}")

    def _end(self, job: Job) -> int:
        try:
            return job.end()
        except subprocess.TimeoutExpired:
            self.ledger.hangs += 1
            self.ledger.write(self.path)
            raise AssertionError(f"the job hung for {HANG:.0f} s: {job.log}") from None

    def _finish(self) -> None:
        """Let it come to its end, and compare."""
        with self._job("disturbed", "finish") as job:
            assert job.end(1800) == 0, job.log.read_text()
        undisturbed = self.folder / "undisturbed" / "r"
        refuse_differences(job.run, undisturbed)
        assert same(checkpoint(job.run, "stage1")["state_dict"], checkpoint(undisturbed, "stage1")["state_dict"])
        assert not (torn := list(job.run.rglob("*.tmp"))), torn
        assert len(self.ledger.kills) == self.kills and self.ledger.hangs == 0, f"{self.ledger.hangs} hangs, see {self.path}"


def tell(kill: Kill) -> str:
    """One kill as a line."""
    who = "the job" if kill.victim == "job" else f"rank {kill.victim}"
    begun = "before it had begun" if kill.begun is None else f"from step {kill.begun} to {kill.step}"
    end = f"ended with {kill.code} in {kill.seconds:.1f} s"
    return f"{who:7s} aimed at {kill.aim:10s} met {kill.met:10s} {begun}; checkpoint of step {kill.kept}; {end}"


def figures(ledger: Ledger) -> str:
    """All kills in a few lines."""
    kills = ledger.kills
    ends = sorted(kill.seconds for kill in kills if kill.victim != "job")
    lost = [kill.step - kill.kept for kill in kills if kill.begun is not None]
    count = {name: dict(sorted(Counter(getattr(kill, name) for kill in kills).items())) for name in ("victim", "aim", "met")}
    course = ledger.course
    lines = [
        f"{len(kills)} SIGKILLs, {ledger.hangs} hangs; {course.steps} steps, the first {course.switch} in stage 1; final weights, "
        "optimiser and metrics.jsonl equal those of the undisturbed run bit for bit",
        f"victims {count['victim']}; aimed at {count['aim']}; met {count['met']}",
        f"steps done at each kill: {[kill.step for kill in kills]}",
        f"steps to do again: mean {statistics.mean(lost):.1f}, worst {max(lost)}" if lost else "no job had begun",
    ]
    if ends:
        lines.append(
            f"from a rank's death to the job's end: median {statistics.median(ends):.2f} s, worst {ends[-1]:.2f} s, of {len(ends)}"
        )
    return "\n".join(lines)
