"""What engines share so that they write the same bytes: statistics in chunks, pieces of files, types of a condition, one digest."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ltrec.columns.kinds import kind_of
from ltrec.columns.kinds.category import CategoryConfig
from ltrec.columns.kinds.number import NumberConfig
from ltrec.columns.statistics import Moments
from ltrec.core.errors import UserError
from ltrec.core.extension import extras
from ltrec.data.manifest import MANIFEST, Manifest
from ltrec.data.prepare.columns.declared import Declared
from ltrec.data.prepare.columns.tally import Tally
from ltrec.data.prepare.config import PrepareConfig
from ltrec.data.prepare.pipeline import prepare
from ltrec.data.prepare.readers import Where, read
from ltrec.data.prepare.readers.sources import find_sources
from tests.support.logs import prepared


def state(moments):
    return moments.result(), moments.count, moments.missing


@pytest.mark.parametrize("log", [False, True])
def test_chunks_that_were_written_down_give_the_same_moments_bit_for_bit(log):
    draw = np.random.default_rng(0)
    direct, folded = Moments(log), Moments(log)
    for size in (0, 1, 7, 1000, 3):
        values = draw.lognormal(3, 2, size).astype(np.float32)
        missing = draw.random(size) < 0.3
        direct.add(values, missing)
        folded.fold(json.loads(json.dumps(Moments(log).chunk(values, missing))))
    assert state(folded) == state(direct)
    assert direct.missing > 200


@pytest.mark.parametrize(
    ("config", "values"),
    [(CategoryConfig(), [0, 3, 3, 1]), (NumberConfig(), [1.5, float("nan"), 2.5, 0.1])],
    ids=["category", "number"],
)
def test_tallies_fold_what_others_counted(config, values):
    column = Declared("c", "event", "c", config, kind_of(config))
    direct, folded = Tally(column, 3), Tally(column, 3)
    for part in (values[:1], values[1:]):
        chunk = np.array(part, np.int32 if column.kind.is_categorical else np.float32)
        direct.add(chunk)
        folded.fold(json.loads(json.dumps(folded.chunk(chunk))))
    assert folded.count_W.tolist() == direct.count_W.tolist() == ([1, 1, 0, 2] if column.kind.is_categorical else [0, 0, 0, 0])
    assert folded.statistics(None) == direct.statistics(None)


def test_row_groups_are_read_with_the_rows_of_the_whole_file(tmp_path):
    log = pa.table({"user_id": [f"u{n}" for n in range(10)], "item_id": ["i"] * 10, "timestamp": range(10)})
    pq.write_table(log, tmp_path / "log.parquet", row_group_size=3)
    config = PrepareConfig(sources=(str(tmp_path / "log.parquet"),))
    [source] = find_sources(config.sources, "auto")

    def rows(groups):
        part = replace(source, groups=groups)
        return [row for batch in read(part, config, (), None, print, print) for row in batch.to_pylist()]

    assert rows((0, 2)) + rows((2, 3)) + rows((3, 4)) == rows(None)
    assert [row["row"] for row in rows((2, 3))] == [7, 8, 9]


def test_types_of_a_condition_may_come_from_another(tmp_path):
    first, second = pa.record_batch({"row": [1, 2], "n": ["10", "9"]}), pa.record_batch({"row": [1], "n": ["nine"]})
    chooser = Where("n > 9")
    chooser.bind(["n"])
    assert chooser.types is None
    assert chooser(first, ())[0].to_pylist() == [True, False]
    assert chooser.types == {"n": "BIGINT"}
    with_types, alone = Where("n > 9", chooser.types), Where("n > '9'")
    for where in (with_types, alone):
        where.bind(["n"])
    assert with_types(second, ())[1]["n"].to_pylist() == [True]
    assert alone(second, ())[1] == {}


def test_the_engine_is_no_option_of_the_data(tmp_path):
    assert "engine" not in PrepareConfig(engine="spark").identity()
    with pytest.raises(ValueError, match="engine"):
        PrepareConfig(engine="dask")


def test_the_manifest_names_an_engine_beside_the_digest(tmp_path):
    plain = prepared(tmp_path)
    text = (tmp_path / "out" / MANIFEST).read_text()
    other = replace(plain, made_by="spark 4.0.0")
    other.save(tmp_path / "out")
    found = Manifest.load(tmp_path / "out")
    assert (found.made_by, found.digest) == ("spark 4.0.0", plain.digest)
    with_engine = (tmp_path / "out" / MANIFEST).read_text()
    for changed in (
        with_engine.replace("spark 4", "sparl 4"),
        with_engine.replace('"made_by"', '"made_by "'),
        with_engine.replace("4.0.0", "4.0.1"),
    ):
        assert changed != with_engine
        (tmp_path / "out" / MANIFEST).write_text(changed)
        with pytest.raises(UserError, match="is damaged"):
            Manifest.load(tmp_path / "out")
    replace(found, made_by="").save(tmp_path / "out")
    assert (tmp_path / "out" / MANIFEST).read_text() == text


def test_spark_without_the_extra_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setitem(extras.EXTRAS, "spark", ("no_such_spark",))
    (tmp_path / "log.csv").write_text("user_id,item_id,timestamp\nu,i,1400000000\n")
    with pytest.raises(UserError, match=r"^engine=spark needs no_such_spark: pip install 'ltrec\[spark\]'$"):
        prepare(PrepareConfig(sources=(str(tmp_path / "log.csv"),), engine="spark"), tmp_path / "out")
    assert not (tmp_path / "out").exists()
