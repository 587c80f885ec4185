"""kill -9 anywhere while a day is appended: the parent stays whole, and the next run gives the same bytes as an undisturbed one."""

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
from ltrec.data.prepare.append.pipeline import append
from ltrec.data.prepare.config import PrepareConfig
from ltrec.data.prepare.pipeline import prepare
from ltrec.data.prepare.table_config import ItemsConfig
from ltrec.data.verify.dataset import verify
from tests.support.appended import content, two_days
from tests.support.columned_days import columned_days, config_of_day, write_days
from tests.support.logs import write_csv
from tests.support.run_prepare import OPTIONS

ROOT = Path(__file__).parents[2]
PLACES = ["append.shards.write_row_list#2", "append.pipeline.share", "workspace.Path.replace#4"]
SLOW_PLACES = [
    "files",
    "read",
    "sort",
    "write",
    "append.pipeline.drop_late",
    "shards.ShardWriter.write#2",
    "shards.ShardWriter.close",
    "append.pipeline.write_grown",
    "workspace.Manifest.save",
    "workspace.Path.replace",
]


@pytest.fixture(scope="module", params=["", pytest.param("items-1.csv", marks=pytest.mark.slow)], ids=["ids", "columns"])
def before(request, tmp_path_factory):
    """The folder of the parent and the day, the day's table of items, and the bytes of the parent and of an undisturbed append."""
    folder = tmp_path_factory.mktemp("append")
    if request.param:
        write_days(folder, columned_days())
        first = config_of_day(folder, 0, **OPTIONS)
    else:
        logs = [write_csv(folder / f"day-{n}.csv", rows) for n, rows in enumerate(two_days())]
        first = PrepareConfig(sources=(str(logs[0]),), **OPTIONS)
    prepare(first, folder / "parent")
    items = str(folder / request.param) if request.param else ""
    rerun(folder, folder / "undisturbed", items)
    return folder, content(folder / "parent"), content(folder / "undisturbed"), items


def rerun(folder, out, items):
    append(PrepareConfig(sources=(str(folder / "day-1.csv"),), items=ItemsConfig(items), **OPTIONS), folder / "parent", out)


def start(before, out, place):
    folder, _, _, items = before
    words = [str(folder / "day-1.csv"), str(out), place, "duckdb", str(folder / "parent"), items]
    return subprocess.Popen(
        [sys.executable, "-m", "tests.support.run_prepare", *words], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )


def check(before, out):
    folder, parent, undisturbed, items = before
    assert content(folder / "parent") == parent
    rerun(folder, out, items)
    assert content(out) == undisturbed
    verify(out)


@pytest.mark.parametrize("place", [*PLACES, *(pytest.param(place, marks=pytest.mark.slow) for place in SLOW_PLACES)])
def test_killed_at(place, before, tmp_path):
    out = tmp_path / "out"
    with start(before, out, place) as process:
        assert process.stdout.readline() == "here\n"
        process.kill()
        assert process.wait() == -signal.SIGKILL
    with pytest.raises(UserError, match="is not a prepared data set"):
        Manifest.load(out)
    check(before, out)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(50))
def test_killed_at_any_moment(seed, before, tmp_path):
    out = tmp_path / "out"
    with start(before, out, "nowhere") as process:
        while not (out / ".preparing").exists() and process.poll() is None:
            time.sleep(0.001)
        time.sleep(random.Random(seed).random() * 0.4)
        process.kill()
    check(before, out)
