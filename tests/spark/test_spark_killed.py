"""kill -9 of a Spark prepare, or of a process below it, at any moment, and again: the same bytes. And spark-submit."""

from __future__ import annotations

import os
import random
import subprocess
import sys

import pytest

from ltrec.data.manifest import Manifest
from ltrec.data.prepare.config import PrepareConfig
from ltrec.data.prepare.pipeline import prepare
from ltrec.data.verify.dataset import verify
from tests.support.run_prepare import OPTIONS
from tests.support.source_tree import ROOT
from tests.support.spark_job import VICTIMS, SparkJob, counted_steps
from tests.support.spark_logs import write_logs

KILLS = int(os.environ.get("LTREC_TEST_SPARK_KILLS", "8"))
"""Each costs half a minute of a processor; 50 are in benchmarks/LOG.md."""


@pytest.fixture(scope="module")
def log(session, tmp_path_factory):
    """A log, the files that are made of it, and the number of steps that takes."""
    folder = tmp_path_factory.mktemp("log")
    write_logs(folder)
    source, calls = folder / "b.parquet", []
    expected = prepare(PrepareConfig(sources=(str(source),), **OPTIONS), folder / "duckdb")
    with counted_steps(calls.append):
        made = prepare(PrepareConfig(sources=(str(source),), engine="spark", **OPTIONS), folder / "spark")
    assert made.files() == expected.files() and len(calls) > 10
    return source, expected, len(calls)


@pytest.mark.parametrize("seed", range(KILLS))
def test_killed_and_repeated(seed, session, log, tmp_path):
    """All of it, the process alone while its JVM goes on for a moment, the JVM, or a worker."""
    (source, expected, calls), draw, out = log, random.Random(seed), tmp_path / "out"
    job = SparkJob(source, out, draw.randrange(1, calls + 1), draw.random() * 0.5, tmp_path / "stderr")
    try:
        victim = VICTIMS[seed % len(VICTIMS)]
        assert job.wait_for_step(), (tmp_path / "stderr").read_text()
        job.kill(victim, draw)
        if victim in ("java", "worker"):
            job.wait_for_end()
        again = prepare(PrepareConfig(sources=(str(source),), engine="spark", **OPTIONS), out)
        job.wait_for_end()
    finally:
        job.end()
    assert again.files() == expected.files()
    verify(out)
    assert not (out / ".preparing").exists()


def test_spark_submit(tmp_path):
    """As docs/spark.md has it, in local mode."""
    write_logs(tmp_path)
    (tmp_path / "ltrec_job.py").write_text("from ltrec.cli.main import main\n\nmain()\n")
    submit = [f"{os.path.dirname(sys.executable)}/spark-submit", "--master", "local[2]", "--conf", "spark.sql.shuffle.partitions=2"]
    words = ["prepare", str(tmp_path / "dates.csv"), "--out", str(tmp_path / "out"), "--engine", "spark"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    environment |= {"PYSPARK_PYTHON": sys.executable, "PYSPARK_DRIVER_PYTHON": sys.executable}
    environment.pop("PYSPARK_SUBMIT_ARGS", None)
    done = subprocess.run([*submit, str(tmp_path / "ltrec_job.py"), *words], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    verify(tmp_path / "out")
    assert Manifest.load(tmp_path / "out").made_by.startswith("spark")
