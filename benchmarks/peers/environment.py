"""A library's own environment, made of its pinned requirements and kept under a name that says what is in it.

With `uv` where there is one, else with venv and pip. The requirements are whole, so nothing is resolved.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.harness.children import say

TORCH_INDEX = "https://download.pytorch.org/whl/cpu"
MOST_SECONDS = 1800

Run = Callable[[Sequence[str]], str]
"""Runs a command; what it said if it failed, else nothing."""


def default_folder() -> Path:
    """Where environments are kept."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ltrec" / "peers"


def run_command(words: Sequence[str]) -> str:
    """Run it, quietly."""
    try:
        done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=MOST_SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return "" if done.returncode == 0 else done.stdout.strip() or f"exit code {done.returncode}"


def python_of(requirements: Path, folder: Path, torch_index: str = TORCH_INDEX, run: Run = run_command) -> Path | None:
    """The interpreter of an environment with these requirements, made now if it is not there; None when that failed, which is said.

    Args:
        requirements: pins of everything.
        folder: of all environments.
        torch_index: where torch is taken from.
        run: runs a command.
    """
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    digest = hashlib.sha256(requirements.read_bytes()).hexdigest()[:8]
    home = folder / f"{requirements.stem}-{digest}-py{version}"
    python, whole = home / "bin" / "python", home / "whole"
    if whole.exists():
        return python
    say(f"making {home}")
    shutil.rmtree(home, ignore_errors=True)
    home.parent.mkdir(parents=True, exist_ok=True)
    for command in _commands(home, python, requirements, torch_index):
        if failure := run(command):
            say(f"SKIPPED {requirements.stem}: {' '.join(command)}: {failure.splitlines()[-1]}")
            return None
    whole.touch()
    return python


def _commands(home: Path, python: Path, requirements: Path, torch_index: str) -> list[list[str]]:
    torch = [line for line in requirements.read_text().splitlines() if line.startswith(("torch==", "torchvision=="))]
    uv = shutil.which("uv")
    if uv:
        make = [uv, "venv", "--quiet", "--python", sys.executable, str(home)]
        install = [uv, "pip", "install", "--quiet", "--python", str(python), "--no-deps"]
    else:
        make = [sys.executable, "-m", "venv", str(home)]
        install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input", "--no-deps"]
    first = [[*install, "--index-url", torch_index, *torch]] if torch else []
    return [make, *first, [*install, "-r", str(requirements)]]
