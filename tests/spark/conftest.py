"""One Spark session for all tests here; without Java or the extra they are skipped, and say so."""

from __future__ import annotations

import os
import shutil

import pytest

from ltrec.core.extension.extras import missing

QUICK = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -XX:-UsePerfData"
REASON = f"engine=spark needs {', '.join(missing('spark')) or 'java'}, which is not installed"


def pytest_collection_modifyitems(items):
    for item in items:
        if "tests/spark" in str(item.path):
            item.add_marker(pytest.mark.slow)
            item.add_marker(pytest.mark.filterwarnings("ignore::ResourceWarning"))
            item.add_marker(pytest.mark.filterwarnings("ignore::FutureWarning"))
            item.add_marker(pytest.mark.timeout(1500))
            if missing("spark") or not (shutil.which("java") or os.environ.get("JAVA_HOME")):
                item.add_marker(pytest.mark.skip(reason=REASON))


@pytest.fixture(scope="session")
def session(tmp_path_factory):
    """A local session with a heap of one gigabyte, which every prepare below uses. Its JVM compiles little."""
    from ltrec.data.prepare.engines.spark.session import local_session

    os.environ["PYSPARK_SUBMIT_ARGS"] = f"--driver-memory 1g --driver-java-options '{QUICK}' pyspark-shell"
    found = local_session(2, tmp_path_factory.mktemp("spill"))
    found.sparkContext.setLogLevel("ERROR")
    found.conf.set("spark.sql.shuffle.partitions", "2")
    yield found
    found.stop()
