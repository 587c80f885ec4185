"""kill -9 in the middle of a Spark prepare, and the same command again: the same bytes. And the command of spark-submit."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from ltrec.data.manifest import Manifest
from ltrec.data.prepare.config import PrepareConfig
from ltrec.data.prepare.pipeline import prepare
from ltrec.data.verify.dataset import verify
from tests.support.run_prepare import OPTIONS
from tests.support.source_tree import ROOT
from tests.support.spark_logs import write_logs


@pytest.mark.parametrize("place", ["filter", "count", "reach"])
def test_killed_and_repeated(session, tmp_path, place):
    (tmp_path / "logs").mkdir()
    write_logs(tmp_path / "logs")
    source, out = tmp_path / "logs" / "*.parquet", tmp_path / "out"
    for table in ("items", "users"):
        (tmp_path / "logs" / f"{table}.parquet").unlink()
    words = [sys.executable, "-m", "tests.support.run_prepare", str(source), str(out), place, "spark"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, cwd=ROOT, start_new_session=True) as job:
        assert job.stdout is not None
        assert job.stdout.readline() == "here\n"
        os.killpg(job.pid, signal.SIGKILL)
    assert not (out / "manifest.json").exists()
    config = {**OPTIONS, "sources": (str(source),)}
    again = prepare(PrepareConfig(**config, engine="spark"), out)
    assert again.files() == prepare(PrepareConfig(**config), tmp_path / "duckdb").files()
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
