"""Every shipped config begins with the command that runs it, and that command's settings are right."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ltrec.cli.main import COMMANDS
from ltrec.config.load import load, split_arguments

ROOT = Path(__file__).resolve().parents[3]
FILES = sorted((ROOT / "conf").rglob("*.yaml"))
COMMAND = re.compile(r"# (?:torchrun .* -m )?ltrec (\w+) (.*)")


def test_there_are_configs() -> None:
    assert len(FILES) >= 3
    assert not [path for path in (ROOT / "conf").rglob("*") if path.is_file() and path.suffix != ".yaml"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_config_begins_with_its_command_and_loads(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    first = path.read_text(encoding="utf-8").splitlines()[0]
    found = COMMAND.fullmatch(first)
    assert found, f"first line is {first!r}, not '# ltrec COMMAND ...'"
    assert found[1] in COMMANDS
    files, words = split_arguments([word for word in found[2].split() if word.endswith(".yaml") or re.match(r"[a-z_.]+=", word)])
    assert str(path.relative_to(ROOT)) in files
    load([path], [])
    load(files, words)
