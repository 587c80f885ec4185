from __future__ import annotations

import errno
import fcntl
import os

import pytest

from ltrec.core.errors import UserError
from ltrec.data.prepare.config import PrepareConfig
from ltrec.data.prepare.output.workspace import WORK, workspace
from ltrec.data.prepare.pipeline import prepare
from ltrec.data.verify.dataset import verify
from tests.support.logs import prepared, some_events, write_csv


def test_other_peoples_files_are_safe(tmp_path):
    (tmp_path / "out" / "vocab").mkdir(parents=True)
    (tmp_path / "out" / "vocab" / "mine.txt").write_text("precious")
    (tmp_path / "out" / "thesis.tex").write_text("precious")
    with pytest.raises(UserError, match=r"already holds other files \(thesis\.tex\)"):
        prepared(tmp_path)
    assert (tmp_path / "out" / "vocab" / "mine.txt").exists()


def test_files_of_a_killed_run_are_removed(tmp_path):
    (tmp_path / "out" / WORK / "spill").mkdir(parents=True)
    (tmp_path / "out" / WORK / "engine.duckdb").write_text("torn")
    (tmp_path / "out" / "stratum=0").mkdir()
    (tmp_path / "out" / "stratum=0" / "part-00000-0.parquet").write_text("torn")
    prepared(tmp_path)
    verify(tmp_path / "out")
    assert not (tmp_path / "out" / WORK).exists()


def test_two_at_once_are_refused(tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    holder = os.open(out, os.O_RDONLY)
    fcntl.flock(holder, fcntl.LOCK_EX)
    with pytest.raises(UserError, match="another ltrec prepare is writing"):
        prepared(tmp_path)
    os.close(holder)
    prepared(tmp_path)


def test_an_error_leaves_no_trace_and_no_new_folder(tmp_path):
    with pytest.raises(KeyError), workspace(tmp_path / "a" / "b" / "out") as work:
        (work / "x").write_text("x")
        raise KeyError
    assert list(tmp_path.iterdir()) == []


def test_a_file_instead_of_the_folder(tmp_path):
    (tmp_path / "out").write_text("x")
    with pytest.raises(UserError, match="cannot create the folder"):
        prepared(tmp_path)


def full(*args, **kwargs):
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize(
    "place",
    [
        "output.shards.pq.ParquetWriter.write_table",
        "output.vocabulary.atomic_path",
        "output.workspace.Manifest.save",
        "output.shards.os.fsync",
    ],
)
@pytest.mark.parametrize("before", [True, False])
def test_a_disk_that_fills_up_late_keeps_the_old_data_set(tmp_path, monkeypatch, place, before):
    if before:
        old = prepared(tmp_path, history_cap=4)
    with monkeypatch.context() as patch:
        patch.setattr(f"ltrec.data.prepare.{place}", full)
        with pytest.raises(UserError, match=r"no space left on the disk of .*out; nothing was written"):
            prepare(
                PrepareConfig(name="x", sources=(str(write_csv(tmp_path / "log.csv", some_events())),)),
                tmp_path / "out",
                overwrite=True,
            )
    if before:
        assert verify(tmp_path / "out") == old
    else:
        assert not (tmp_path / "out").exists()
