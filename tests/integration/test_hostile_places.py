"""Commands in processes of their own, where the shell, the machine or the environment is hostile: one line or none, and no hang."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.commands import command, environment
from tests.support.timeouts import scaled
from tests.support.tiny_run import tiny_words

_BECOME = "import os, sys; exec(sys.argv[1]); os.execv(sys.argv[2], sys.argv[2:])"


def ends(words, *, before="", where=None, **variables):
    """Exit code and lines of stderr of a command, after some Python in its process; it must answer within two minutes."""
    become = [sys.executable, "-c", _BECOME, before, *command(*words)]
    done = subprocess.run(
        become,
        capture_output=True,
        timeout=scaled(120),
        env=environment(**variables),
        cwd=where,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    err = done.stderr.decode("utf-8", "backslashreplace")
    assert "Traceback" not in err + done.stdout.decode("utf-8", "backslashreplace"), err
    return done.returncode, err.splitlines()


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"RANK": "x"}, "error: the environment variable RANK is 'x', which is not a whole number"),
        ({"WORLD_SIZE": "2"}, "error: WORLD_SIZE=2 without RANK: which of the 2 processes is this?"),
    ],
)
def test_processes_that_cannot_connect_do_not_wait(data: Path, tmp_path: Path, variables: dict[str, str], said: str) -> None:
    code, lines = ends(["train", *tiny_words(data, tmp_path)], **variables)
    assert code == 2
    assert [line for line in lines if said in line] == lines, lines


@pytest.mark.slow
def test_a_low_limit_of_open_files_is_raised() -> None:
    before = "import resource as r; r.setrlimit(r.RLIMIT_NOFILE, (12, r.getrlimit(r.RLIMIT_NOFILE)[1]))"
    code, lines = ends(["fetch", "synthetic", "--users", "1"], before=before)
    assert (code, lines) == (2, ["error: --users must be at least 2; got 1"])


@pytest.mark.slow
@pytest.mark.parametrize("closed", [(0,), (1,), (2,), (0, 1, 2)])
def test_closed_streams_do_no_harm(tmp_path: Path, closed: tuple[int, ...]) -> None:
    out = tmp_path / "out"
    code, _ = ends(
        ["fetch", "synthetic", "--users", "30", "--items", "20", "--out", out], before=f"[os.close(n) for n in {closed}]"
    )
    assert code == 0
    assert (out / "NOTICE.txt").read_text().startswith("Synthetic"), "nothing that was printed went into a file"


@pytest.mark.slow
@pytest.mark.parametrize("locale", ["C", "POSIX", "nonsense"])
def test_names_that_are_not_utf8_are_refused_in_one_line(locale: str) -> None:
    code, lines = ends(["verify", os.fsdecode(b"\xff[/x]")], LC_ALL=locale, PYTHONUTF8="0", PYTHONIOENCODING="ascii")
    assert code == 2 and len(lines) == 1 and lines[0].startswith("error: \\udcff[/x]/manifest.json not found")


@pytest.mark.slow
def test_a_removed_working_folder_is_one_line() -> None:
    gone = "import tempfile; f = tempfile.mkdtemp(); os.chdir(f); os.rmdir(f)"
    code, lines = ends(["launch", "slurm", "conf/experiment/quickstart.yaml", "--dry-run"], before=gone)
    assert code == 2 and len(lines) == 1, lines


@pytest.mark.slow
def test_neither_home_nor_temporary_folder_is_required(tmp_path: Path) -> None:
    words = ["fetch", "synthetic", "--users", "30", "--items", "20", "--out", tmp_path]
    code, lines = ends(words, HOME="/nonexistent", TMPDIR="/nonexistent", XDG_CACHE_HOME="/dev/null")
    assert code == 0, lines
