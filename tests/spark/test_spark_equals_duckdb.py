"""Spark against DuckDB: the same files, byte for byte, and a manifest that says who made them."""

from __future__ import annotations

import pytest

from ltrec.core.errors import UserError
from ltrec.data.manifest import Manifest
from ltrec.data.prepare.config import PrepareConfig
from ltrec.data.prepare.engines.opening import open_engine
from ltrec.data.prepare.pipeline import prepare
from ltrec.data.verify.dataset import verify
from tests.support.engine_cases import ENGINE_CASES
from tests.support.spark_logs import BASE, cases, write_logs

CASES = ["plain", "filters", "hash", "columns", "targets_after", "csv", "dates", "sequences", "order", "numbers"]


@pytest.fixture(scope="module")
def logs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("logs")
    write_logs(folder)
    return folder


@pytest.fixture(scope="module")
def engine(session, tmp_path_factory):
    with open_engine(PrepareConfig(sources=("x.csv",), engine="spark", threads=1), tmp_path_factory.mktemp("engine")) as found:
        yield found


@pytest.mark.parametrize("case", ENGINE_CASES, ids=lambda case: case.__name__)
def test_spark_answers_as_duckdb(engine, case):
    case(engine)
    engine.drop(*list(engine._folders))
    for (table,) in engine.catalogue.execute("SELECT table_name FROM duckdb_tables()").fetchall():
        engine.catalogue.execute(f"DROP TABLE {table}")


@pytest.mark.parametrize("case", CASES)
def test_the_same_bytes(session, logs, tmp_path, case):
    options = cases(logs)[case]
    one = prepare(PrepareConfig(**options), tmp_path / "duckdb")
    other = prepare(PrepareConfig(**options, engine="spark"), tmp_path / "spark")
    assert other.files() == one.files()
    assert other.digest == one.digest
    assert (one.made_by, other.made_by.split()[0]) == ("", "spark")
    assert Manifest.load(tmp_path / "spark") == other
    assert len(one.shards) > 4
    verify(tmp_path / "spark")
    assert not (tmp_path / "spark" / ".preparing").exists()


def test_files_with_times_and_files_without_are_refused(session, tmp_path):
    (tmp_path / "a.csv").write_text("user_id,item_id,order\nu1,a,1\nu2,b,2\n")
    (tmp_path / "b.csv").write_text("user_id,item_id\nu1,a\n")
    config = PrepareConfig(**BASE, sources=(str(tmp_path / "*.csv"),), time="order", engine="spark")
    with pytest.raises(UserError, match=r"b.csv has no column 'order', other files differ; rename it there$"):
        prepare(config, tmp_path / "out")


def test_the_callers_session_keeps_its_views_and_settings(session, logs, tmp_path):
    session.sql("SELECT 7 AS n").createOrReplaceTempView("events")
    before = {row["key"]: row["value"] for row in session.sql("SET").collect()}
    prepare(PrepareConfig(**cases(logs)["plain"], engine="spark"), tmp_path / "out")
    assert session.sql("SELECT n FROM events").collect()[0]["n"] == 7
    assert {row["key"]: row["value"] for row in session.sql("SET").collect()} == before
    session.catalog.dropTempView("events")


def test_what_either_engine_made_is_up_to_date_for_the_other(session, logs, tmp_path):
    options = cases(logs)["plain"]
    first = prepare(PrepareConfig(**options), tmp_path / "out")
    assert prepare(PrepareConfig(**options, engine="spark"), tmp_path / "out") == first


def test_a_folder_whose_name_is_a_pattern_is_refused(session, logs, tmp_path):
    config = PrepareConfig(**cases(logs)["plain"], engine="spark")
    with pytest.raises(UserError, match=r"Spark reads '\[' in a path as a pattern$"):
        prepare(config, tmp_path / "out[1]")


def test_without_java_it_says_how_to_get_it(monkeypatch, logs, tmp_path):
    monkeypatch.setattr("pyspark.sql.SparkSession.getActiveSession", lambda: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    with pytest.raises(UserError, match=r"needs Java 17 or later, and there is no `java` on the PATH; install it"):
        prepare(PrepareConfig(**cases(logs)["plain"], engine="spark"), tmp_path / "out")


@pytest.mark.parametrize(
    ("name", "text", "options", "message"),
    [
        ("log.csv", "user_id,item_id,timestamp\nu1,a,5\n", {"item": "itm"}, "has no column 'itm'"),
        ("log.csv", "user_id,item_id,timestamp\nu1,a,never\nu2,b,never\n", {"reject_budget": 1.0}, "'never' is not a time"),
        ("log.csv", "user_id,item_id,timestamp\nu1,,5\nu2,b,5\n", {"time_unit": "order"}, "1 of 2 rows rejected"),
    ],
)
def test_mistakes_are_one_line(session, tmp_path, name, text, options, message):
    (tmp_path / name).write_text(text)
    config = PrepareConfig(**{**BASE, "sources": (str(tmp_path / name),), "engine": "spark", **options})
    with pytest.raises(UserError, match=message) as error:
        prepare(config, tmp_path / "out")
    assert "\n" not in str(error.value)
    assert not (tmp_path / "out" / "manifest.json").exists()
