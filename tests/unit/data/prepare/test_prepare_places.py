"""Logs and prepared data must not lie in each other, whatever names them."""

from __future__ import annotations

import pytest

from ltrec.core.errors import UserError
from ltrec.data.prepare.config import PrepareConfig
from ltrec.data.prepare.pipeline import prepare
from ltrec.data.schema import WORK
from tests.support.logs import some_events, write_csv


@pytest.fixture
def logs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_csv(tmp_path / "logs" / "deep" / "1.csv", some_events())
    (tmp_path / "link").symlink_to(tmp_path / "logs")
    return tmp_path


@pytest.mark.parametrize(
    ("source", "out", "message"),
    [
        ("logs", "logs/out", "--out logs/out lies inside the source folder logs"),
        ("logs", "logs", "--out logs is the source folder logs"),
        ("logs", "link", "--out link is the source folder logs"),
        ("link", "logs/out", "--out logs/out lies inside the source folder link"),
        (".", "elsewhere/../data", "lies inside the source folder ."),
        ("logs/**/*.csv", "logs/out", "--out logs/out lies inside the source folder logs"),
        ("logs/deep/1.csv", "logs", r"the log logs/deep/1\.csv lies inside --out logs"),
        ("logs/deep", "logs", r"the log logs/deep/1\.csv lies inside --out logs"),
        ("logs/deep/*.csv", "link", r"the log logs/deep/1\.csv lies inside --out link"),
        ("logs/deep/1.csv", ".", r"lies inside --out \."),
    ],
)
def test_overlaps_are_refused_and_nothing_is_made(logs, source, out, message):
    before = sorted(logs.rglob("*"))
    with pytest.raises(UserError, match=message):
        prepare(PrepareConfig(sources=(source,)), (logs / out).relative_to(logs))
    assert sorted(logs.rglob("*")) == before


@pytest.mark.parametrize(
    ("source", "out"), [("logs/deep/1.csv", "logs/deep/out"), ("logs/deep/*.csv", "logs/out"), ("logs", "logs-prepared")]
)
def test_folders_next_to_each_other_do_not_overlap(logs, source, out):
    for _ in range(2):
        prepare(PrepareConfig(sources=(source,), threads=1), logs / out)


def test_files_of_an_interrupted_prepare_are_not_logs(logs):
    write_csv(logs / "logs" / WORK / "2.csv", some_events())
    manifest = prepare(PrepareConfig(sources=("logs",), threads=1), logs / "out")
    assert [file["path"] for file in manifest.source["files"]] == ["deep/1.csv"]
