"""One process writes into a run folder: a second one is refused, and what the dead left is taken over aloud."""

import errno
import fcntl
import json
import os
import subprocess
import sys
import time
from dataclasses import replace

import pytest

from ltrec.core.errors import UserError
from ltrec.core.storage.run_folder import RunFolder
from ltrec.run.folder import owner as owners
from ltrec.run.folder.owner import Owner, boot_time, this_process
from ltrec.run.folder.ownership import own_folder
from tests.support.commands import environment

HOLD = """
import sys, time
from pathlib import Path
from ltrec.core.storage.run_folder import RunFolder
from ltrec.run.folder.ownership import own_folder
with own_folder(RunFolder(Path(sys.argv[1])), print):
    print("held", flush=True)
    time.sleep(600)
"""

CROWD = """
import sys, time
from pathlib import Path
from ltrec.core.errors import UserError
from ltrec.core.storage.run_folder import RunFolder
from ltrec.run.folder.ownership import own_folder

def write(word):
    with open(sys.argv[1] + ".log", "a") as log:
        log.write(word)

done = 0
while done < 5:
    try:
        with own_folder(RunFolder(Path(sys.argv[1])), print):
            write("in\\n")
            time.sleep(0.001)
            write("out\\n")
            done += 1
    except UserError:
        time.sleep(0.0005)
"""


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "r"


@pytest.fixture
def said():
    return []


@pytest.fixture
def other(folder):
    """Another process that owns the folder."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(folder)], stdout=subprocess.PIPE, text=True, env=environment())
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def refused(folder, match):
    with pytest.raises(UserError, match=match) as caught, own_folder(RunFolder(folder), pytest.fail):
        pass
    assert "\n" not in str(caught.value)
    return str(caught.value)


def leave(folder, owner):
    """An owner file without its process."""
    folder.mkdir(exist_ok=True)
    (folder / "owner.json").write_text(json.dumps(owner.to_json()) + "\n")


def no_locks(*_):
    raise OSError(errno.ENOLCK, "No locks available")


def test_an_owned_folder_names_its_owner_and_is_cleaned_up(folder):
    folder = folder / "deep" / "er"
    with own_folder(RunFolder(folder), pytest.fail):
        assert Owner.from_json(json.loads((folder / "owner.json").read_text())).pid == os.getpid()
        assert (folder / ".lock").exists()
    assert not folder.parent.parent.exists()


def test_what_a_run_wrote_stays(folder):
    with own_folder(RunFolder(folder), pytest.fail):
        (folder / "config.yaml").touch()
    assert [path.name for path in folder.iterdir()] == ["config.yaml"]


@pytest.mark.parametrize("locks", [True, False], ids=["flock", "no flock"])
def test_a_second_process_is_refused_with_process_and_host(folder, other, locks, monkeypatch):
    if not locks:
        monkeypatch.setattr(fcntl, "flock", no_locks)
    refused(
        folder,
        rf"is being trained by process {other.pid} on {this_process().host} \(since .*\); wait until .* or choose another name",
    )
    assert other.poll() is None and (folder / "owner.json").exists(), "the first is not disturbed"


def test_a_second_run_of_the_same_process_is_refused(folder):
    with own_folder(RunFolder(folder), pytest.fail):
        refused(folder, f"process {os.getpid()}")


@pytest.mark.parametrize("locks", [True, False], ids=["flock", "no flock"])
def test_files_of_a_killed_process_are_taken_over_with_a_note(folder, other, said, locks, monkeypatch):
    other.kill()
    other.wait()
    if not locks:
        monkeypatch.setattr(fcntl, "flock", no_locks)
    with own_folder(RunFolder(folder), said.append):
        assert len(said) == 1
        assert f"taking over from process {other.pid} on {this_process().host}" in said[0]


def test_a_zombie_is_dead(folder, other, said):
    other.kill()
    time.sleep(0.3)  # a zombie until its parent, which is this process, asks
    assert owners._stat(other.pid)[0] == "Z"
    with own_folder(RunFolder(folder), said.append):
        assert len(said) == 1


def test_a_later_process_with_the_same_id_is_another_one(folder, said):
    mine = this_process()
    leave(folder, replace(mine, started=mine.started - 1))
    with own_folder(RunFolder(folder), said.append):
        assert "ended without removing its lock" in said[0]


def test_an_owner_on_another_machine_is_respected_with_advice(folder):
    leave(folder, replace(this_process(), host="node7", boot="another"))
    told = refused(folder, r"process \d+ on node7 .*if you are sure that it runs no more \(on node7: ps -p \d+\), remove")
    assert f"remove {folder / 'owner.json'} and repeat" in told
    (folder / "owner.json").unlink()
    with own_folder(RunFolder(folder), pytest.fail):
        pass


def test_a_machine_with_the_same_name_is_another_one(folder):
    refuse_as_foreign = [
        replace(this_process(), host="node7"),
        replace(this_process(), boot="another", since="2999-01-01T00:00:00+00:00"),
    ]
    for foreign in refuse_as_foreign:
        leave(folder, foreign)
        refused(folder, "is being trained by")


def test_owners_from_before_a_reboot_are_dead(folder, said):
    assert boot_time() > "2000"
    leave(folder, replace(this_process(), boot="another", since="2000-01-01T00:00:00+00:00"))
    with own_folder(RunFolder(folder), said.append):
        assert "before the last boot of this machine" in said[0]


@pytest.mark.parametrize(
    ("theirs", "mine", "free"),
    [
        ({}, {"SLURM_RESTART_COUNT": "1"}, True),
        ({"SLURM_RESTART_COUNT": "1"}, {"SLURM_RESTART_COUNT": "2"}, True),
        ({}, {"TORCHELASTIC_RESTART_COUNT": "1"}, True),
        ({"TORCHELASTIC_RESTART_COUNT": "3"}, {"SLURM_RESTART_COUNT": "1"}, True),
        ({}, {}, False),
        ({"SLURM_RESTART_COUNT": "2"}, {"SLURM_RESTART_COUNT": "1"}, False),
        ({}, {"SLURM_JOB_ID": "78", "SLURM_RESTART_COUNT": "1"}, False),
        ({}, {"SLURM_JOB_ID": "", "SLURM_RESTART_COUNT": "1"}, False),
    ],
)
def test_a_requeued_job_comes_back_on_another_node(folder, said, monkeypatch, theirs, mine, free):
    leave(folder, replace(this_process({"SLURM_JOB_ID": "77", **theirs}), host="node7", boot="another"))
    for name, value in {"SLURM_JOB_ID": "77", **mine}.items():
        monkeypatch.setenv(name, value)
    if free:
        with own_folder(RunFolder(folder), said.append):
            assert "an earlier attempt of this job" in said[0] and "Slurm job 77" in said[0]
    else:
        refused(folder, r"Slurm job 77.*squeue -j 77")


@pytest.mark.parametrize("text", ["{}\n", "[]\n", "null\n", "x\n", '{"pid": "x"}\n', "\xff\n"])
def test_a_foreign_owner_file_is_not_removed(folder, text):
    folder.mkdir()
    (folder / "owner.json").write_text(text, encoding="latin-1")
    refused(folder, "is not what 'ltrec train' writes")
    assert (folder / "owner.json").exists()


def test_an_empty_owner_file_is_ignored_where_there_are_locks(folder, monkeypatch):
    folder.mkdir()
    (folder / "owner.json").touch()
    with own_folder(RunFolder(folder), pytest.fail):
        pass
    (folder / "owner.json").touch()
    monkeypatch.setattr(fcntl, "flock", no_locks)
    refused(folder, "is empty: someone may train there")


def test_the_owner_file_of_a_new_owner_is_not_removed(folder):
    with own_folder(RunFolder(folder), pytest.fail):
        (folder / "owner.json").unlink()
        leave(folder, replace(this_process(), pid=1))
    assert (folder / "owner.json").exists()


def test_one_of_many_concurrent_processes_gets_the_folder(folder):
    """None takes the lock file that the one before has just removed for a lock."""
    crowd = [subprocess.Popen([sys.executable, "-c", CROWD, str(folder)], env=environment()) for _ in range(4)]
    assert [process.wait() for process in crowd] == [0] * 4
    lines = (folder.parent / "r.log").read_text().split()
    assert lines == ["in", "out"] * (len(lines) // 2) and len(lines) >= 40
    assert not folder.exists() or not list(folder.iterdir())
