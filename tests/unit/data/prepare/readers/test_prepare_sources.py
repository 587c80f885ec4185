from __future__ import annotations

import os

import pytest

from ltrec.core.errors import UserError
from ltrec.data.prepare.readers.sources import find_sources


@pytest.fixture
def logs(tmp_path):
    for name in ("b/2.csv", "b/1.csv.gz", "b/_SUCCESS", "b/.hidden.csv", "b/_tmp/3.csv", "b/readme.md", "a.jsonl", "c.weird"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("x")
    return tmp_path


def labels(*arguments, log_format="auto"):
    return [source.label for source in find_sources([str(a) for a in arguments], log_format)]


def test_files_folders_and_globs_keep_the_given_order_and_are_sorted_within(logs):
    assert labels(logs / "b", logs / "a.jsonl") == ["1.csv.gz", "2.csv", "a.jsonl"]
    assert labels(logs / "a.jsonl", f"{logs}/b/*.csv*") == ["a.jsonl", "1.csv.gz", "2.csv"]
    assert labels(f"{logs}/**/2.csv") == ["b/2.csv"]


def test_the_format_comes_from_the_name_or_the_option(logs):
    assert [s.format for s in find_sources([str(logs / "b" / "1.csv.gz"), str(logs / "a.jsonl")], "auto")] == ["csv", "jsonl"]
    assert [s.format for s in find_sources([str(logs / "c.weird")], "tsv")] == ["tsv"]
    with pytest.raises(UserError, match=r"c\.weird: the format cannot be told"):
        find_sources([str(logs / "c.weird")], "auto")


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("{}/b/3.csv", r"3\.csv not found \(did you mean '2\.csv'\?\)"),
        ("{}/nothing/at/all.csv", r"all\.csv not found"),
        ("{}/*.parquet", r"/\*\.parquet matches no file$"),
        ("{}/*.weird", r"/\*\.weird holds no event log; known file names end in \.csv"),
        ("s3://bucket/x.parquet", "remote logs cannot be read;"),
    ],
)
def test_missing_sources_are_refused(logs, argument, message):
    with pytest.raises(UserError, match=message):
        find_sources([argument.format(logs)], "auto")


def test_nothing_named_nothing_in_the_file_named_twice(logs):
    with pytest.raises(UserError, match="no event log named"):
        find_sources([], "auto")
    (logs / "empty.csv").touch()
    with pytest.raises(UserError, match=r"empty\.csv is empty"):
        find_sources([str(logs / "empty.csv")], "auto")
    os.symlink(logs / "a.jsonl", logs / "again.jsonl")
    with pytest.raises(UserError, match="given twice"):
        find_sources([str(logs / "a.jsonl"), str(logs / "again.jsonl")], "auto")
