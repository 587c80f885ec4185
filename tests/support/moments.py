"""When a job is killed, and who of it: drawn at random for each kill by its number, so that a second try meets the same fate."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass

from tests.support.killable_job import Job, wait_for, workers

# What ten kills in a row aim at, in an order of their own. The three that are due about the switch of stages aim at that.
_AIMS = ("start-up",) * 2 + ("step",) * 3 + ("checkpoint",) * 3 + ("validation",) * 2
VICTIMS = ("0", "1", "job")


@dataclass(frozen=True)
class Course:
    """What an undisturbed run looks like."""

    steps: int
    """In all."""
    epoch: int
    """Steps of an epoch."""
    switch: int
    """The last step of the first stage."""
    startup: float
    """Seconds from the command to the first step."""
    pace: float
    """Seconds of a step."""


@dataclass(frozen=True)
class Moment:
    """The kill's aim, its victim, the step it waits for and a share [0, 1) of the aim's length to wait beyond that."""

    aim: str
    victim: str
    step: int
    beyond: float


def moment(number: int, kills: int, course: Course) -> Moment:
    """Of kill `number` of so many, spread over the whole run but its last epoch, overlapping a little."""
    draw = random.Random(number)
    victim, beyond = draw.choice(VICTIMS), draw.random()
    aim = random.Random(number // len(_AIMS)).sample(_AIMS, len(_AIMS))[number % len(_AIMS)]
    end = course.steps - course.epoch
    share = end / kills
    step = min(end, max(1, round((number - 0.5 + 2 * draw.random()) * share)))
    at_switch = min(max(1, int(course.switch / share)), kills - 2)
    if abs(number - at_switch) <= 1:
        return Moment("switch", victim, course.switch + number - at_switch, beyond)
    if aim == "validation":
        step = min(end, -(-step // course.epoch) * course.epoch)
    return Moment(aim, victim, step, beyond)


def await_moment(job: Job, moment: Moment, course: Course) -> None:
    """Return when it has come; a step that already lay behind is the first one the resumed job writes."""
    if moment.aim == "start-up":
        if moment.victim != "job":
            wait_for(lambda: moment.victim in workers(job.process.pid), job.process)
        time.sleep(moment.beyond * course.startup * (1.0 if moment.victim == "job" else 0.6))
        return
    wait_for(lambda: job.begun_at() is not None, job.process)
    first = job.begun_at() + 1
    step = max(moment.step, first)
    if moment.aim == "validation":
        step = -(-step // course.epoch) * course.epoch
    wait_for(lambda: job.step() >= step, job.process)
    if moment.aim == "checkpoint":
        wait_for(job.is_writing, job.process, poll=0.0002)
    time.sleep(moment.beyond * {"checkpoint": 0.002, "validation": 3 * course.pace}.get(moment.aim, 2 * course.pace))


def met(job: Job, course: Course) -> str:
    """What the killed job was at, as its folder tells."""
    if any(job.run.rglob("*.tmp")):
        return "checkpoint" if job.begun_at() is not None else "start-up"
    if job.begun_at() is None:
        return "start-up"
    line, step = job.last_line(), job.step()
    if "train/loss" in line and step % course.epoch == 0:
        return "validation"
    return "switch" if abs(step - course.switch) <= 1 else "step"
