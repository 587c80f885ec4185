"""What the steps of prepare ask of an engine, on tiny tables; all engines give the same answers (tests/support/engine_cases)."""

from __future__ import annotations

import pytest

from ltrec.data.prepare.config import PrepareConfig
from ltrec.data.prepare.database import one_row
from ltrec.data.prepare.engines.opening import open_engine
from ltrec.data.prepare.engines.protocol import counted
from tests.support.engine_cases import ENGINE_CASES


@pytest.fixture
def engine(tmp_path):
    with open_engine(PrepareConfig(sources=("log.csv",), threads=1), tmp_path) as found:
        yield found


@pytest.mark.parametrize("case", ENGINE_CASES, ids=lambda case: case.__name__)
def test_duckdb(engine, case):
    case(engine)


def test_the_catalogue_is_the_database_of_the_log(engine):
    engine.make("lent", "SELECT 3 AS n")
    engine.lend("lent")
    assert one_row(engine.catalogue, "SELECT n FROM lent") == counted(engine, "SELECT n FROM lent") == (3,)


def test_null_counts_as_zero(engine):
    assert counted(engine, "SELECT sum(n), 2 FROM (SELECT 1 AS n WHERE false) AS none") == (0, 2)
