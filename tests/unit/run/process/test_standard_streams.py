"""What every command stands on."""

from __future__ import annotations

import resource
from typing import Any

import pytest

from ltrec.core.errors import UserError
from ltrec.run.process.standard_streams import MIN_OPEN_FILES, prepare_streams


class Limits:
    """A shell's limit of open files, which may be raised up to the hard one."""

    def __init__(self, soft: int, hard: int) -> None:
        self.now = (soft, hard)

    def getrlimit(self, _: int) -> tuple[int, int]:
        return self.now

    def setrlimit(self, _: int, wanted: tuple[int, int]) -> None:
        if self.now[1] != resource.RLIM_INFINITY and wanted[0] > self.now[1]:
            raise ValueError("not allowed to raise maximum limit")
        self.now = wanted


@pytest.mark.parametrize(
    ("soft", "hard", "then"), [(12, 512, 512), (12, 1 << 20, 1024), (12, -1, 1024), (100, 100, 100), (-1, -1, -1)]
)
def test_a_low_limit_of_open_files_is_raised(soft: int, hard: int, then: int, monkeypatch: Any) -> None:
    limits = Limits(soft, hard)
    monkeypatch.setattr("resource.getrlimit", limits.getrlimit)
    monkeypatch.setattr("resource.setrlimit", limits.setrlimit)
    prepare_streams()
    assert limits.now == (then, hard)


def test_a_limit_that_cannot_be_raised_is_one_line(monkeypatch: Any) -> None:
    limits = Limits(12, MIN_OPEN_FILES - 1)
    monkeypatch.setattr("resource.getrlimit", limits.getrlimit)
    monkeypatch.setattr("resource.setrlimit", limits.setrlimit)
    with pytest.raises(UserError, match=r"this shell allows 12 open files, ltrec needs 64: raise the limit \(ulimit -n 1024\)"):
        prepare_streams()
