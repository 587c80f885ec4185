"""A command `sample` that is whatever function a test gives."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import ModuleType
from typing import Annotated

import pytest
import typer

from ltrec.cli import main as cli

Install = Callable[[Callable[..., None]], None]


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Install:
    """Make a function the command `sample`."""

    def install_function(function: Callable[..., None]) -> None:
        module = ModuleType("ltrec.cli.commands.sample")
        module.sample = function  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, module.__name__, module)
        monkeypatch.setitem(cli.COMMANDS, "sample", "a command for tests")

    return install_function


def ends_with(error: BaseException, install: Install, *words: str) -> int:
    def sample(words: Annotated[list[str] | None, typer.Argument()] = None) -> None:
        raise error

    install(sample)
    return cli.main(["sample", *words])
