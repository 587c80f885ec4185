"""`make test-slurm` installs Slurm where it may, runs what can be run, and says aloud what it leaves out."""

import os
import shutil
import subprocess
import sys

import pytest

from tests.support.source_tree import ROOT


@pytest.fixture
def machine(tmp_path):
    """Runs the target on a machine that has these programs and no others; returns (exit code, what was called, what was said)."""
    place = tmp_path / "bin"
    place.mkdir()
    (place / "bash").symlink_to(shutil.which("bash"))

    def write(name, script):
        (place / name).write_text(f'#!{place / "bash"}\necho "{name} $*" >> {tmp_path / "called"}\n{script}\n')
        (place / name).chmod(0o755)

    def run(**programs):
        for name, script in {"python": "", **programs}.items():
            write(name.replace("_", "-"), script)
        make = [shutil.which("make"), "--no-print-directory", "-o", "install", "test-slurm", f"BIN={place}"]
        done = subprocess.run(make, cwd=ROOT, env={"PATH": str(place)}, capture_output=True, text=True, check=False)
        called = [line for line in (tmp_path / "called").read_text().splitlines() if not line.startswith("id ")]
        return done.returncode, called, done.stderr

    return run


TESTS = "python -m pytest -m slurm tests/slurm"


def test_slurm_that_is_there_is_left_alone(machine):
    assert machine(slurmctld="", id="echo 0", apt_get="") == (0, [TESTS], "")


def test_root_gets_it_from_debian(machine):
    code, called, said = machine(id="echo 0", apt_get='echo "$DEBIAN_FRONTEND" >&2')
    assert code == 0 and called == ["apt-get -qq update", "apt-get -qq install --no-install-recommends slurm-wlm", TESTS]
    assert said.split() == ["noninteractive"]


@pytest.mark.parametrize(
    "programs", [{"id": "echo 1000", "apt_get": ""}, {"id": "echo 0"}, {"id": "echo 0", "apt_get": "exit 100"}], ids=str
)
def test_who_may_not_install_is_told_and_the_tests_skip(machine, programs):
    code, called, said = machine(**programs)
    assert code == 0 and called[-1] == TESTS and not [word for word in called if "install" in word]
    assert "these tests need root and Debian's slurm-wlm" in said


def test_failing_tests_fail(machine):
    assert machine(slurmctld="", python="exit 1")[0] != 0


@pytest.mark.slow  # imports all of the tests' support
def test_skipped_tests_are_seen_with_their_reason():
    words = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-m", "slurm", "tests/slurm"]
    done = subprocess.run(words, cwd=ROOT, env={**os.environ, "PATH": ""}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert "no Slurm here (slurmctld, slurmd, sbatch, srun missing): as root, make test-slurm installs" in done.stdout
    assert " skipped" in done.stdout and " passed" not in done.stdout.splitlines()[-1]
