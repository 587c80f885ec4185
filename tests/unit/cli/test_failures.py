"""How every kind of ending is told: a line and an exit code, never a traceback on the screen."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
import typer

from ltrec.cli import main as cli
from ltrec.cli.failures import BUG, exit_code_of
from ltrec.core.errors import UserError
from ltrec.run.process.crash_file import traceback_in
from tests.support.sample_command import Install, ends_with, install

__all__ = ["install"]


def test_a_user_error_is_one_line_and_code_2(install: Install, capsys: pytest.CaptureFixture[str]) -> None:
    assert ends_with(UserError("no such\nfile"), install) == 2
    assert capsys.readouterr() == ("", "error: no such file\n")


def test_debug_adds_the_traceback(install: Install, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LTREC_DEBUG", "1")
    assert ends_with(UserError("bad"), install) == 2
    err = capsys.readouterr().err
    assert err.startswith("Traceback") and err.endswith("error: bad\n")


def test_other_ranks_print_their_number(
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
def test_an_interruption_exits_with_130(error: BaseException, install: Install, capsys: pytest.CaptureFixture[str]) -> None:
    assert ends_with(error, install) == 130
    assert capsys.readouterr().err == "interrupted\n"


def test_a_bug_is_one_line_and_a_file_with_its_traceback(install: Install, tmp_path: Path, monkeypatch: Any, capsys: Any) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setenv("MY_TOKEN", "s3cr3t-as-it-is")
    assert ends_with(KeyError("s3cr3t-as-it-is"), install, "password=hunter2") == BUG == 70
    [line] = capsys.readouterr().err.splitlines()
    [file] = tmp_path.iterdir()
    assert line == f"error: KeyError: '***'; this is a bug of ltrec: please report it with {file}"
    text = file.read_text()
    assert "Traceback (most recent call last)" in text and "raise error" in text and "ltrec sample password=***" in text
    assert "hunter2" not in text and "s3cr3t" not in text


def test_the_traceback_of_a_run_goes_to_its_folder(install: Install, tmp_path: Path, capsys: Any) -> None:
    def sample() -> None:
        with traceback_in(tmp_path), traceback_in(tmp_path / "not there"), traceback_in(tmp_path / "run"):
            (tmp_path / "run").mkdir()
            raise ZeroDivisionError

    install(sample)
    assert cli.main(["sample"]) == BUG
    [file] = (tmp_path / "run").iterdir()
    assert str(file) in capsys.readouterr().err and "ZeroDivisionError" in file.read_text()


def test_a_bug_whose_traceback_cannot_be_written_is_still_one_line(
    install: Install, tmp_path: Path, monkeypatch: Any, capsys: Any
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "gone"))
    assert ends_with(TypeError("ours\nand more"), install) == BUG
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("error: TypeError: ours; this is a bug of ltrec: LTREC_DEBUG=1 shows where")


LOST = [
    "[third_party/gloo/gloo/transport/tcp/unbound_buffer.cc:81] Timed out waiting 5000ms for recv operation to complete",
    "[third_party/gloo/gloo/transport/tcp/pair.cc:547] Connection closed by peer [127.0.0.1]:40123",
]
"""What gloo says of a process that hangs, and of one that is gone."""


@pytest.mark.parametrize("complaint", LOST)
def test_a_lost_process_is_one_line_with_advice(complaint: str, install: Install, capsys: Any) -> None:
    assert ends_with(RuntimeError(f"{complaint}\nException raised from wait"), install) == 1
    [line] = capsys.readouterr().err.splitlines()
    assert complaint in line and line.endswith("the last checkpoint is intact; repeat the command to resume")


def test_any_other_runtime_error_is_a_bug(install: Install, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert ends_with(RuntimeError("shapes differ"), install) == BUG


SYSTEM = [
    (OSError(errno.ENAMETOOLONG, "", "x" * 300), "a name or path is too long: xxx"),
    (OSError(errno.ELOOP, "", "a/b"), "a/b is a link that leads back to itself"),
    (FileNotFoundError(errno.ENOENT, "", "a/b"), "no such file or folder: a/b"),
    (FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['x']"), "there is no folder for temporary files"),
    (NotADirectoryError(errno.ENOTDIR, "", "a/b"), "a/b leads through a file, where a folder should be"),
    (IsADirectoryError(errno.EISDIR, "", "a/b"), "a/b is a folder, where a file should be"),
    (FileExistsError(errno.EEXIST, "", "a/b"), "a/b is there already"),
    (OSError(errno.EMFILE, "", "a/b"), "too many open files: raise the limit (ulimit -n 4096)"),
    (OSError(errno.EIO, "", "a/b"), "Input/output error: a/b"),
    (OSError(errno.EXDEV, "", "a", None, "b"), "Invalid cross-device link: a -> b"),
    (BrokenPipeError(errno.EPIPE, "a socket"), "Broken pipe: a file"),
    (OSError("Couldn't deserialize thrift"), "a file cannot be read: Couldn't deserialize thrift"),
    (MemoryError(), "no memory left: ask for more"),
    (
        RuntimeError("[enforce fail at alloc_cpu.cpp:118] DefaultCPUAllocator: can't allocate memory: 1"),
        "no memory left: ask for more",
    ),
    (pa.ArrowInvalid("bad\nworse"), "Arrow: bad"),
    (pa.ArrowNotImplementedError("no cast"), "Arrow: no cast"),
    (duckdb.ConversionException("Could not convert"), "DuckDB: Could not convert"),
    (duckdb.IOException("No space left on device"), "no space left on the disk of"),
    (UnicodeEncodeError("utf-8", "a\udcffb", 1, 2, "surrogates not allowed"), "'a\\udcffb' is not UTF-8 text"),
]
"""What the system and the libraries complain of."""


@pytest.mark.parametrize(("error", "said"), SYSTEM, ids=lambda value: type(value).__name__)
def test_errors_of_the_system_are_one_line_and_code_2(error: Exception, said: str, install: Install, capsys: Any) -> None:
    assert ends_with(error, install) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {said}")


def test_a_line_has_no_control_characters_and_a_limited_length(install: Install, capsys: pytest.CaptureFixture[str]) -> None:
    assert ends_with(UserError("\x1b[2Jno\0thing\udcff" + "y" * 100_000 + "!"), install) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: \\x1b[2Jno\\x00thing\\udcffyyy") and err.endswith("yyy!\n") and len(err) < 2100


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_reported_with_its_path(number: int, install: Install, capsys: pytest.CaptureFixture[str]) -> None:
    assert ends_with(OSError(number, "full", "/data/x"), install) == 2
    assert capsys.readouterr().err == (
        "error: no space left on the disk of /data/x: make room there or choose another folder, then run the same command again\n"
    )


def test_a_full_disk_without_a_path_names_the_fullest_folder(
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
def test_a_write_to_a_full_device_exits_with_code_2(install: Install, capsys: pytest.CaptureFixture[str]) -> None:
    def sample() -> None:
        with open("/dev/full", "w", encoding="utf-8") as handle:
            handle.write("x" * 100_000)

    install(sample)
    assert cli.main(["sample"]) == 2
    assert capsys.readouterr().err.startswith("error: no space left on the disk of /")


def test_a_forbidden_path_is_reported(install: Install, capsys: pytest.CaptureFixture[str]) -> None:
    assert ends_with(PermissionError(errno.EACCES, "no", "/locked/x"), install) == 2
    assert capsys.readouterr().err == "error: Permission denied: /locked/x\n"


@pytest.mark.parametrize("size", [1, 1_000_000])
def test_a_closed_pipe_is_no_error(size: int) -> None:
    """`ltrec ... | head`: whether the output overflows the pipe at once or is flushed at the end."""
    code = (
        "import sys, time\n"
        "from ltrec.cli import main as cli\n"
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
