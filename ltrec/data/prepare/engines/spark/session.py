"""The Spark session, and its failures in one line."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from ltrec.core.errors import UserError

_SETTINGS = {
    "spark.sql.ansi.enabled": "true",
    "spark.sql.ansi.doubleQuotedIdentifiers": "true",
    "spark.sql.caseSensitive": "true",
    "spark.sql.parser.escapedStringLiterals": "true",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.execution.arrow.maxRecordsPerBatch": "65536",
    "spark.sql.legacy.createHiveTableByDefault": "false",
    "spark.sql.autoBroadcastJoinThreshold": "1MB",
    "parquet.block.size": str(1 << 24),
}
"""SQL as the steps of prepare write it, and what keeps the heap small: Spark compares the threshold with the size of files, which
take ten times as much in memory, and a task holds a row group of each file that it reads or writes."""
_PARTITIONS = "spark.sql.shuffle.partitions"


_NAME = "ltrec prepare"
_ELSEWHERE = ("PYSPARK_GATEWAY_PORT", "SPARK_REMOTE", "SPARK_CONF_DIR")
"""Set by spark-submit, for Spark Connect, and where a configuration names the master."""
_EXCEPTION = re.compile(r"[A-Za-z_][\w.]*(Error|Exception|Exit)(:|$)")
"""The last line of a Python traceback."""


@contextmanager
def open_session(threads: int, spill: Path) -> Iterator[SparkSession]:
    """A session beside the active one, with views and settings of its own; if there is none, a new one, stopped at the end: a local
    one, unless spark-submit, a configuration or `SPARK_REMOTE` says otherwise.

    Args:
        threads: of a local session; 0 = all cores.
        spill: folder for what a local session spills.

    Raises:
        UserError: Java is missing, or Spark fails.
    """
    active = SparkSession.getActiveSession()
    if active is None and not os.environ.get("SPARK_REMOTE"):
        _refuse_without_java()
    with _explained():
        session = _new(threads, spill) if active is None else active.newSession()
        if active is not None:
            session.conf.set(_PARTITIONS, active.conf.get(_PARTITIONS))
        for name, value in _SETTINGS.items():
            session.conf.set(name, value)
        try:
            yield session
        finally:
            if active is None:
                session.stop()


def local_session(threads: int, spill: Path) -> SparkSession:
    """A session on this machine.

    Args:
        threads: 0 = all cores.
        spill: folder for what it spills.
    """
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    builder = SparkSession.builder.appName(_NAME).master(f"local[{threads or '*'}]")
    settings = {
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        "spark.local.dir": str(spill),
        "spark.python.unix.domain.socket.enabled": "true",
        _PARTITIONS: str(4 * (threads or len(os.sched_getaffinity(0)))),
    }
    for name, value in settings.items():
        builder = builder.config(name, value)
    return builder.getOrCreate()


def _new(threads: int, spill: Path) -> SparkSession:
    if any(name in os.environ for name in _ELSEWHERE):
        return SparkSession.builder.appName(_NAME).getOrCreate()
    return local_session(threads, spill)


def _refuse_without_java() -> None:
    home = os.environ.get("JAVA_HOME")
    if shutil.which("java", path=f"{home}/bin" if home else None) is None:
        where = f"`JAVA_HOME`={home} has no bin/java" if home else "there is no `java` on the PATH"
        raise UserError(f"engine=spark needs Java 17 or later, and {where}; install it (Debian: apt install default-jre-headless)")


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except PySparkException as error:
        text = str(error)
        if "No space left" in text:
            raise UserError("Spark: no space left on a disk; nothing was written, free some space and run again") from error
        raise UserError(f"Spark failed: {_cause(text)}; its log says more") from error


def _cause(text: str) -> str:
    """The first line of a message; of a failure in an executor's Python, the last line of its traceback."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    ends = [line for line in lines if _EXCEPTION.match(line)]
    return (ends[0] if ends and "Traceback" in text else lines[0])[:300]
