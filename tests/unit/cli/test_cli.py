"""The command line's frame: help, dispatch, and how every kind of ending is told."""

from __future__ import annotations

import subprocess
import sys
import warnings
from pathlib import Path
from typing import Annotated, Any

import pytest
import typer

from ltrec import __version__
from ltrec.cli import main as cli
from ltrec.config.files import find
from tests.support.sample_command import Install, install
from tests.support.timeouts import scaled

__all__ = ["install"]


def python(code: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=scaled(60), check=False, **options)


@pytest.mark.parametrize("words", [["--help"], ["-h"], ["help"]])
def test_help_names_every_command_in_the_order_of_the_work(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(words) == 0
    shown = capsys.readouterr().out
    places = [shown.index(f"\n  {name} ") for name in cli.COMMANDS]
    assert places == sorted(places)
    assert max(map(len, shown.splitlines())) <= 132


def test_every_example_of_the_help_is_a_command() -> None:
    examples = [line.split() for line in cli.help_text().splitlines() if line.startswith(("  ltrec ", "  torchrun"))]
    assert len(examples) > 5
    assert {words[words.index("ltrec") + 1] for words in examples} <= set(cli.COMMANDS)
    configs = {word for words in examples for word in words if word.startswith("conf/")}
    assert configs and all(find(name).is_file() for name in configs)


def test_every_command_has_its_module_and_every_module_its_command() -> None:
    """Read, not imported: importing them all takes seconds."""
    folder = Path(cli.__file__).parent / "commands"
    modules = {path.stem: path.read_text(encoding="utf-8") for path in folder.glob("[!_]*.py")}
    assert set(modules) == set(cli.COMMANDS)
    assert [name for name, text in modules.items() if f"\ndef {name}(" not in text] == []


def test_no_command_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([]) == 2
    out, err = capsys.readouterr()
    assert out == "" and "usage: ltrec COMMAND" in err


@pytest.mark.parametrize("word", ["--version", "-V"])
def test_version(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([word]) == 0
    assert capsys.readouterr().out == f"ltrec {__version__}\n"


def test_help_imports_nothing_heavy() -> None:
    heavy = {"torch", "numpy", "pyarrow", "duckdb", "omegaconf", "pytorch_lightning", "matplotlib", "rich"}
    code = f"import sys; from ltrec.cli.main import main; main(['--help']); print({heavy} & set(sys.modules), file=sys.stderr)"
    assert python(code).stderr == "set()\n"


def test_python_dash_m_ltrec_is_the_same_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ltrec", "--version"], capture_output=True, text=True, timeout=scaled(60), check=False
    )
    assert (done.returncode, done.stdout) == (0, f"ltrec {__version__}\n")


@pytest.mark.parametrize("name", ["trian", "--foo", "Train", "os"])
def test_an_unknown_command_is_answered_with_the_known_ones(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([name]) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"error: unknown command {name!r}") and err.count("\n") == 1
    assert ("did you mean 'train'?" in err) == (name.lower() in ("trian", "train"))


def test_words_become_typed_arguments(install: Install) -> None:
    seen: list[Any] = []

    def sample(conf: list[str], out: Path = Path("runs"), steps: Annotated[int, typer.Option()] = 3) -> None:
        """Do it."""
        seen.append((conf, out, steps))

    install(sample)
    assert cli.main(["sample", "a.yaml", "b=1", "--out", "x", "--steps", "5"]) == 0
    assert seen == [(["a.yaml", "b=1"], Path("x"), 5)]


@pytest.mark.parametrize("words", [["--nope"], ["--steps", "many"], ["surplus"]])
def test_wrong_usage_of_a_command_exits_2_and_does_not_run_it(words: list[str], install: Install, capsys: Any) -> None:
    def sample(steps: Annotated[int, typer.Option()] = 3) -> None:
        raise AssertionError(f"ran with {steps}")

    install(sample)
    assert cli.main(["sample", *words]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ltrec sample: ") and line.endswith("('ltrec sample --help' shows the options)")


def test_help_of_a_command_does_not_run_it(install: Install, capsys: pytest.CaptureFixture[str]) -> None:
    def sample() -> None:
        """Words of help."""
        raise AssertionError

    install(sample)
    assert cli.main(["sample", "--help"]) == 0
    assert "Words of help." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("variables", "shown"),
    [
        ({}, 1),
        ({"RANK": "0", "WORLD_SIZE": "2"}, 1),
        ({"RANK": "1", "WORLD_SIZE": "2"}, 0),
        ({"RANK": "1", "WORLD_SIZE": "2", "LTREC_DEBUG": "1"}, 1),
        ({"SLURM_STEP_NUM_TASKS": "2", "SLURM_PROCID": "1"}, 0),
        ({"SLURM_STEP_NUM_TASKS": "2", "SLURM_PROCID": "0"}, 1),
        ({"SLURM_STEP_NUM_TASKS": "1", "SLURM_PROCID": "1"}, 1),
    ],
)
def test_a_warning_of_a_library_is_shown_by_one_rank(
    variables: dict[str, str], shown: int, install: Install, monkeypatch: Any
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    def sample() -> None:
        warnings.warn("of some library", UserWarning, stacklevel=1)

    install(sample)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert cli.main(["sample"]) == 0
    assert len(caught) == shown
