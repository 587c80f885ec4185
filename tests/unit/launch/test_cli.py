"""The command line's frame: help, dispatch, and how every kind of ending is told."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any

import pytest
import typer

from ltrec import __version__
from ltrec.config.files import find
from ltrec.core.errors import UserError
from ltrec.launch import cli
from ltrec.launch.failures import exit_code_of

Install = Callable[[Callable[..., None]], None]


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Install:
    """Make a function the command `sample`."""

    def install_function(function: Callable[..., None]) -> None:
        module = ModuleType("ltrec.launch.commands.sample")
        module.sample = function  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, module.__name__, module)
        monkeypatch.setitem(cli.COMMANDS, "sample", "a command for tests")

    return install_function


def ends_with(error: BaseException, install: Install) -> int:
    def sample() -> None:
        raise error

    install(sample)
    return cli.main(["sample"])


def python(code: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False, **options)


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
    code = f"import sys; from ltrec.launch.cli import main; main(['--help']); print({heavy} & set(sys.modules), file=sys.stderr)"
    assert python(code).stderr == "set()\n"


def test_python_dash_m_ltrec_is_the_same_command() -> None:
    done = subprocess.run([sys.executable, "-m", "ltrec", "--version"], capture_output=True, text=True, timeout=60, check=False)
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
    assert "ltrec sample" in capsys.readouterr().err


def test_help_of_a_command_does_not_run_it(install: Install, capsys: pytest.CaptureFixture[str]) -> None:
    def sample() -> None:
        """Words of help."""
        raise AssertionError

    install(sample)
    assert cli.main(["sample", "--help"]) == 0
    assert "Words of help." in capsys.readouterr().out


def test_a_user_error_is_one_line_and_code_2(install: Install, capsys: pytest.CaptureFixture[str]) -> None:
    assert ends_with(UserError("no such\nfile"), install) == 2
    assert capsys.readouterr() == ("", "error: no such file\n")


def test_debug_adds_the_traceback(install: Install, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LTREC_DEBUG", "1")
    assert ends_with(UserError("bad"), install) == 2
    err = capsys.readouterr().err
    assert err.startswith("Traceback") and err.endswith("error: bad\n")


def test_other_ranks_say_who_they_are(
    install: Install, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANK", "3")
    assert ends_with(UserError("bad"), install) == 2
    assert capsys.readouterr().err == "[rank 3] error: bad\n"


@pytest.mark.parametrize(
    ("error", "code"),
    [(typer.Exit(3), 3), (typer.Exit(), 0)],
)
def test_a_command_may_choose_its_exit_code(error: BaseException, code: int, install: Install) -> None:
    assert ends_with(error, install) == code


@pytest.mark.parametrize("error", [KeyboardInterrupt(), typer.Abort()])
def test_an_interruption_is_a_word_and_130(error: BaseException, install: Install, capsys: pytest.CaptureFixture[str]) -> None:
    assert ends_with(error, install) == 130
    assert capsys.readouterr().err == "interrupted\n"


def test_a_bug_keeps_its_traceback(install: Install) -> None:
    for bug in (RuntimeError("ours"), FileNotFoundError(errno.ENOENT, "gone", "x"), BrokenPipeError(errno.EPIPE, "a socket")):
        with pytest.raises(type(bug)):
            ends_with(bug, install)


LOST = [
    "[third_party/gloo/gloo/transport/tcp/unbound_buffer.cc:81] Timed out waiting 5000ms for recv operation to complete",
    "[third_party/gloo/gloo/transport/tcp/pair.cc:547] Connection closed by peer [127.0.0.1]:40123",
]
"""What gloo says of a process that hangs, and of one that is gone."""


@pytest.mark.parametrize("complaint", LOST)
def test_a_lost_process_is_one_line_about_the_way_on(complaint: str, install: Install, capsys: Any) -> None:
    assert ends_with(RuntimeError(f"{complaint}\nException raised from wait"), install) == 1
    [line] = capsys.readouterr().err.splitlines()
    assert complaint in line and line.endswith("the last checkpoint is good, and the same command goes on from it")


def test_any_other_runtime_error_is_a_bug_and_keeps_its_traceback(install: Install) -> None:
    with pytest.raises(RuntimeError, match="shapes"):
        ends_with(RuntimeError("shapes differ"), install)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_told_with_its_path(number: int, install: Install, capsys: pytest.CaptureFixture[str]) -> None:
    assert ends_with(OSError(number, "full", "/data/x"), install) == 2
    assert capsys.readouterr().err == (
        "error: no space left on the disk of /data/x: make room there or choose another folder, then run the same command again\n"
    )


def test_a_full_disk_without_a_path_names_the_fullest_folder_in_play(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    full = tmp_path / "full"
    full.mkdir()
    usage = type("Usage", (), {})
    monkeypatch.setattr("shutil.disk_usage", lambda folder: (free := usage(), setattr(free, "free", 0 if folder == full else 9))[0])
    for word in (f"{full}/out", f"out={full}/a/b"):
        assert exit_code_of(OSError(errno.ENOSPC, "full"), ["prepare", "x" * 5000, "a\0b", word, "--force"]) == 2
        assert f"no space left on the disk of {full}:" in capsys.readouterr().err


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_write_to_a_full_device_is_told_with_code_2(install: Install, capsys: pytest.CaptureFixture[str]) -> None:
    def sample() -> None:
        with open("/dev/full", "w", encoding="utf-8") as handle:
            handle.write("x" * 100_000)

    install(sample)
    assert cli.main(["sample"]) == 2
    assert capsys.readouterr().err.startswith("error: no space left on the disk of /")


def test_a_forbidden_path_is_told(install: Install, capsys: pytest.CaptureFixture[str]) -> None:
    assert ends_with(PermissionError(errno.EACCES, "no", "/locked/x"), install) == 2
    assert capsys.readouterr().err == "error: Permission denied: /locked/x\n"


@pytest.mark.parametrize("size", [1, 1_000_000])
def test_a_reader_that_leaves_is_no_error(size: int) -> None:
    """`ltrec ... | head`: whether the output overflows the pipe at once or is flushed at the end."""
    code = (
        "import sys, time\n"
        "from ltrec.launch import cli\n"
        f"cli.help_text = lambda: (sys.stdin.readline(), 'x' * {size})[1]\n"
        "sys.exit(cli.main(['--help']))"
    )
    child = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert child.stdin and child.stdout and child.stderr
    child.stdout.close()
    child.stdin.write(b"go\n")
    child.stdin.close()
    with child.stderr as stderr:
        assert stderr.read() == b""
    assert child.wait(60) == 141
