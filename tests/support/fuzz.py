"""Hostile input by number: case n is a pure function of (SEED, n), so that any one can be repeated alone.

    python -m tests.support.fuzz 1234 1300-1399

A case is a command line and what it reads. It is run in this process, and its ending is judged:

    exit 0           right, unless the case knows that its input was broken
    exit 2           right: one line that begins with "error:"
    anything else    wrong: 70 is a bug, a traceback on the screen is one, and so is a minute without an answer
"""

from __future__ import annotations

import contextlib
import io
import os
import signal
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from ltrec.cli.main import main
from tests.support.logs import prepared, some_events
from tests.support.tiny_run import tiny_words

SEED = 20261129
RESOLVE_TIMEOUT_S = 120  # for a machine that is busy; a case takes milliseconds


@dataclass(frozen=True)
class World:
    """What is sound: a log, a data set and a run of it, and a folder for what is not."""

    log: Path
    data: Path
    run: Path
    scratch: Path


@dataclass(frozen=True)
class Case:
    """A command line; `broken` says why it must not end well, where that is known; `after` complains of what it left behind."""

    words: list[str]
    broken: str = ""
    after: Callable[[int], str] = lambda _: ""


Make = Callable[[Random, World], Case]


class Hang(BaseException):
    """Nothing in the program may catch this."""


def make_world(folder: Path) -> World:
    """Prepare the log and train the run: seconds."""
    prepared(folder, some_events(60), block_rows=8)
    words = train_words(folder / "out", folder / "runs", "trainer.max_epochs=1")
    with silence() as (_, err):
        assert main(["train", *words]) == 0, err.getvalue()
        assert main(["evaluate", str(folder / "runs" / "r")]) == 0, err.getvalue()
    (folder / "scratch").mkdir()
    return World(folder / "log.csv", folder / "out", folder / "runs" / "r", folder / "scratch")


def train_words(data: Path, out: Path, *more: str) -> list[str]:
    """A tiny training run."""
    return tiny_words(data, out, "trainer.stall_seconds=0", "trainer.progress=false", *more)


def verdict(number: int, world: World, makers: dict[str, tuple[int, Make]], seed: int = SEED) -> str | None:
    """Run case `number` and say what is wrong with how it ended; None when nothing is."""
    random = Random(f"{seed}:{number}")
    [name] = random.choices([*makers], [weight for weight, _ in makers.values()])
    place = world.scratch / str(number)
    place.mkdir()
    case = makers[name][1](random, World(world.log, world.data, world.run, place))
    code, out, err = run(case.words, place)
    wrong = _wrong(case, code, out, err)
    return f"case {number} ({name}): ltrec {' '.join(map(repr, case.words))[:1500]}\n  {wrong}" if wrong else None


def _wrong(case: Case, code: int | str, out: str, err: str) -> str:
    lines = [line for line in err.splitlines() if line.startswith("error:")]
    if code not in (0, 2):
        return f"exit {code}: {err[-1500:]}"
    if "Traceback" in out + err:
        return f"a traceback with exit {code}: {err[-1500:]}"
    if code == 2 and len(lines) != 1:
        return f"exit 2 with {len(lines)} lines: {err[-1500:]}"
    if code == 0 and case.broken:
        return f"exit 0, though {case.broken}"
    return case.after(int(code))


def run(words: list[str], place: Path) -> tuple[int | str, str, str]:
    """Exit code (or what happened instead) and what was printed; the current folder is the case's own."""
    before = Path.cwd()
    with silence() as (out, err), _alarm():
        os.chdir(place)
        code: int | str
        try:
            code = main(words)
        except Hang:
            code = f"none within {RESOLVE_TIMEOUT_S} s"
        except SystemExit as stop:
            code = f"SystemExit({stop.code})"
        finally:
            os.chdir(before)
    return code, out.getvalue(), err.getvalue()


@contextlib.contextmanager
def silence() -> Iterator[tuple[io.StringIO, io.StringIO]]:
    """Collect what is printed."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield out, err


@contextlib.contextmanager
def _alarm() -> Iterator[None]:
    def ring(*_: Any) -> None:
        raise Hang

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(RESOLVE_TIMEOUT_S)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def numbers_of(words: list[str]) -> Iterator[int]:
    """`7 10-12` -> 7, 10, 11, 12."""
    for word in words:
        first, _, last = word.partition("-")
        yield from range(int(first), int(last or first) + 1)


if __name__ == "__main__":
    from tests.support.fuzz_makers import MAKERS

    with tempfile.TemporaryDirectory() as folder:
        found = make_world(Path(folder))
        faults = [fault for n in numbers_of(sys.argv[1:]) if (fault := verdict(n, found, MAKERS))]
    sys.exit("\n".join(faults) if faults else 0)
