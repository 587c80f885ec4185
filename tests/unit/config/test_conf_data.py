"""conf/data: every log lies under data/raw, where `ltrec fetch` or a user puts it, and its columns are of kinds that suit it."""

from __future__ import annotations

from pathlib import PurePosixPath

import pytest

from benchmarks.content import tables
from ltrec.config.load import load
from tests.support.source_tree import ROOT

FILES = sorted((ROOT / "conf" / "data").glob("*.yaml"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_paths_are_relative_and_the_name_is_the_file_s(path):
    config = load([path], [])
    prepare = config.prepare
    assert (prepare.name, config.data.path) == (path.stem, f"data/{path.stem}")
    for source in (*prepare.sources, *filter(None, (prepare.items.source, prepare.users.source))):
        assert PurePosixPath(source).parts[:2] == ("data", "raw")
    tables_of = (prepare.items, prepare.users)
    assert all(bool(table.source) == bool(table.columns) for table in tables_of)


def kinds(columns):
    return {name: column.kind for name, column in columns.items()}


def test_columns_are_declared_in_one_file_each():
    amazon = {name: load([ROOT / "conf" / "data" / f"{name}.yaml"], []).prepare for name in ("beauty", "sports", "toys")}
    for prepare in amazon.values():
        assert kinds(prepare.items.columns) == {"attributes": "categories"}
        assert not prepare.event_columns and not prepare.users.columns
    films = load([ROOT / "conf" / "data" / "ml-100k-columns.yaml"], []).prepare
    assert kinds(films.items.columns) == {"genres": "categories", "year": "number"}
    assert kinds(films.users.columns) == {"age": "number", "sex": "category", "occupation": "category"}
    made = load([ROOT / "conf" / "data" / "synthetic-columns.yaml"], []).prepare
    assert kinds(made.event_columns) == {"event_type": "category", "price": "number", "dwell": "number"}
    assert kinds(made.items.columns) == {"category": "category", "tags": "categories", "price": "number"}


def test_logs_without_columns_are_prepared_as_ever():
    for name in ("ml-100k", "synthetic"):
        prepare = load([ROOT / "conf" / "data" / f"{name}.yaml"], []).prepare
        assert not prepare.event_columns and not prepare.items.columns and not prepare.users.columns


def test_the_content_benchmark_s_logs_have_item_columns():
    for file in tables.LOGS.values():
        assert load([ROOT / "conf" / "data" / f"{file}.yaml"], []).prepare.items.columns
