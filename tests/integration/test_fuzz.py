"""Hostile input never ends in a traceback, a hang, or silence. One case again: python -m tests.support.fuzz NUMBER."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.support.fuzz import SEED, Case, World, make_world, run, verdict
from tests.support.fuzz_makers import MAKERS

FEW, MANY, IN_ONE = 100, 2200, 100


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("fuzz"))


def refuse_faults(numbers: range, world: World) -> None:
    faults = []
    for number in numbers:
        faults += [fault] if (fault := verdict(number, world, MAKERS)) else []
        shutil.rmtree(world.scratch / str(number), ignore_errors=True)
    assert not faults, f"{len(faults)} of cases {numbers.start}-{numbers.stop - 1}, seed {SEED}:\n" + "\n".join(faults)


def test_a_few_hostile_inputs_end_in_one_line(world: World) -> None:
    refuse_faults(range(FEW), world)


@pytest.mark.slow
@pytest.mark.parametrize("first", range(FEW, MANY, IN_ONE))
def test_hostile_inputs_end_in_one_line(first: int, world: World) -> None:
    refuse_faults(range(first, first + IN_ONE), world)


def test_the_judge_finds_what_is_wrong(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fuzz that cannot fail would be no test: a bug, a silent success and a hang are each told."""
    makers = {"broken": (1, lambda *_: Case(["verify", str(world.data)], "nothing is sound"))}
    assert "exit 0, though nothing is sound" in str(verdict(10**6, world, makers))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("ltrec.cli.main.COMMANDS", None)
    assert "exit 70: error: TypeError" in str(verdict(10**6 + 1, world, makers))
    monkeypatch.setattr("tests.support.fuzz.RESOLVE_TIMEOUT_S", 1)
    monkeypatch.setattr("tests.support.fuzz.main", lambda _: next(n for n in iter(int, 1) if n))
    assert run([], tmp_path)[0] == "none within 1 s"
