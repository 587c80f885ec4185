"""kill -9 anywhere during prepare: no data set is visible, and the next run gives the same bytes as an undisturbed one."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ltrec.core.errors import UserError
from ltrec.data.manifest import Manifest
from ltrec.data.prepare.config import PrepareConfig
from ltrec.data.prepare.pipeline import prepare
from ltrec.data.verify.dataset import verify
from tests.support.logs import START, write_csv
from tests.support.run_prepare import OPTIONS

ROOT = Path(__file__).parents[2]
PLACES = [
    "hash",
    "read",
    "filter",
    "sort",
    "count",
    "write",
    "shards.ShardWriter.write#6",
    "shards.ShardWriter.close#2",
    "pipeline.publish",
    "workspace.Manifest.save",
    "workspace.fsync_folder",
    "workspace.Path.replace",
    "workspace.Path.replace#3",
    "workspace.Path.replace#5",
]


def content(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    rng = random.Random(0)
    rows = [(f"u{int(rng.paretovariate(0.6)) % 300}", f"i{rng.randrange(50)}", START + rng.randrange(400)) for _ in range(5000)]
    return write_csv(tmp_path_factory.mktemp("log") / "log.csv", [*rows, (None, "i", START)])


@pytest.fixture(scope="module")
def undisturbed(log, tmp_path_factory):
    out = tmp_path_factory.mktemp("undisturbed") / "out"
    prepare(PrepareConfig(sources=(str(log),), **OPTIONS), out)
    return content(out)


def start(log, out, place):
    command = [sys.executable, "-m", "tests.support.run_prepare", str(log), str(out), place]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def check_rerun(log, out, undisturbed):
    prepare(PrepareConfig(sources=(str(log),), **OPTIONS), out)
    assert content(out) == undisturbed
    verify(out)


@pytest.mark.parametrize("place", PLACES)
def test_killed_at(place, log, undisturbed, tmp_path):
    out = tmp_path / "out"
    with start(log, out, place) as process:
        assert process.stdout.readline() == "here\n"
        process.kill()
        assert process.wait() == -signal.SIGKILL
    with pytest.raises(UserError, match="is not a prepared data set"):
        Manifest.load(out)
    assert (out / ".preparing").exists()
    check_rerun(log, out, undisturbed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
def test_killed_at_any_moment(seed, log, undisturbed, tmp_path):
    out = tmp_path / "out"
    with start(log, out, "nowhere") as process:
        while not (out / ".preparing").exists() and process.poll() is None:
            time.sleep(0.001)
        time.sleep(random.Random(seed).random() * 0.5)
        process.kill()
    check_rerun(log, out, undisturbed)


def test_killed_while_overwriting_leaves_the_old_data_set_until_the_new_one_is_complete(log, undisturbed, tmp_path):
    out = tmp_path / "out"
    old = prepare(PrepareConfig(sources=(str(log),), **{**OPTIONS, "history_cap": 4}), out)
    script = (
        "import sys; from pathlib import Path; from tests.support import run_prepare as r;"
        "r._stop_before('pipeline.publish');"
        "r.prepare(r.PrepareConfig(sources=(sys.argv[1],), **r.OPTIONS), Path(sys.argv[2]), overwrite=True)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(log), str(out)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "here\n"
        process.kill()
    assert verify(out) == old
    prepare(PrepareConfig(sources=(str(log),), **OPTIONS), out, overwrite=True)
    assert content(out) == undisturbed
