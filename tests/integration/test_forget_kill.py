"""kill -9 anywhere while users are forgotten: the data set is the old one or the new one, and repeated it is the same bytes."""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import ltrec
from ltrec.cli import main as cli
from ltrec.data.forget.pipeline import forget
from ltrec.data.forget.users import read_users
from ltrec.data.manifest import Manifest
from ltrec.data.verify.files import check_files
from tests.support.appended import content, make_grown
from tests.support.logs import prepared

ROOT = Path(__file__).parents[2]
SHARDS, WORKSPACE = "ltrec.data.forget.shards", "ltrec.data.prepare.output.workspace"
PLACES = [f"{SHARDS}:ShardWriter.close#2", f"{WORKSPACE}:Path.replace#3", f"{WORKSPACE}:sweep#2"]
SLOW_PLACES = [
    f"{SHARDS}:ShardWriter.write_rows#2",
    "ltrec.data.forget.pipeline:_manifest",
    "ltrec.data.forget.tables:replacement",
    f"{WORKSPACE}:Manifest.save",
    f"{WORKSPACE}:Path.replace",
    f"{WORKSPACE}:fsync_folder#2",
]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The folder of a data set that was appended to and the file of users, and the bytes before and after."""
    folder = tmp_path_factory.mktemp("forget")
    make_grown(folder, full=False)
    (folder / "gone.txt").write_text("u3\nu7\nu199\nu310\nnobody\n")
    done = shutil.copytree(folder / "grown", folder / "undisturbed")
    forget(done, read_users(folder / "gone.txt"))
    return folder, content(folder / "grown"), content(done)


def start(folder, data, place):
    words = ["-m", "tests.support.run_forget", str(data), str(folder / "gone.txt"), place]
    return subprocess.Popen([sys.executable, *words], cwd=ROOT, stdout=subprocess.PIPE, text=True)


def check(made, data):
    folder, before, after = made
    manifest = Manifest.load(data)
    for name in manifest.files():
        assert (data / name).read_bytes() in (before.get(name), after.get(name)), name
    forget(data, read_users(folder / "gone.txt"))
    assert content(data) == after
    check_files(data, Manifest.load(data), lambda *_: None)


@pytest.mark.parametrize("place", [*PLACES, *(pytest.param(place, marks=pytest.mark.slow) for place in SLOW_PLACES)])
def test_killed_at(place, made, tmp_path):
    data = shutil.copytree(made[0] / "grown", tmp_path / "data")
    with start(made[0], data, place) as process:
        assert process.stdout.readline() == "started\n"
        assert process.stdout.readline() == "here\n"
        process.kill()
        assert process.wait() == -signal.SIGKILL
    check(made, data)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
def test_killed_at_any_moment(seed, made, tmp_path):
    data = shutil.copytree(made[0] / "grown", tmp_path / "data")
    with start(made[0], data, "nowhere") as process:
        assert process.stdout.readline() == "started\n"
        time.sleep(random.Random(seed).random() * 0.3)
        process.kill()
    check(made, data)


def test_the_command_forgets_and_verify_proves_it(tmp_path, capsys, monkeypatch):
    prepared(tmp_path)
    data, gone = str(tmp_path / "out"), tmp_path / "gone.txt"
    gone.write_text("u4\nu11\nnobody\n")
    monkeypatch.setenv("LTREC_CACHE", str(tmp_path / "cache"))
    assert cli.main(["verify", data, "--forgotten", str(gone)]) == 2
    assert "has the row of user" in capsys.readouterr().err
    assert cli.main(["prepare", "--forget-users", str(gone), "--out", data]) == 0
    written = capsys.readouterr()
    assert "forgot 2 users with 8 events" in written.err and "1 id of the file not in the data set" in written.err
    assert "8 events of 2 user(s), who were removed" in " ".join(written.out.split())
    assert cli.main(["verify", data, "--forgotten", str(gone)]) == 0
    assert f"none of the users in {gone} is in any of its files" in capsys.readouterr().err
    again = ltrec.prepare(out=data, forget_users=gone)
    assert again.up_to_date and again.forgotten.line() == "nothing to forget; 3 ids of the file not in the data set"
    assert again.to_dict()["forgotten"] == {"users": 0, "events": 0, "unknown": 3, "before": again.digest}


def test_what_cannot_be_is_one_clear_line(tmp_path, capsys):
    prepared(tmp_path)
    (gone := tmp_path / "gone.txt").write_text("u4\n")
    data = str(tmp_path / "out")
    for words, message in [
        ([str(tmp_path / "log.csv"), "--out", data], "reads no log; leave out the log"),
        (["--append", data, "--out", data], "leave out --append"),
        (["--out", "s3://bucket/data"], "--forget-users works on folders"),
        (["--out", str(tmp_path / "none")], "is not a prepared data set"),
    ]:
        assert cli.main(["prepare", "--forget-users", str(gone), *words]) == 2
        assert message in " ".join(capsys.readouterr().err.split())
