"""Predictions, indexes and exported models in a store: the bytes of a folder. Runs themselves stay on a disk."""

from __future__ import annotations

from pathlib import Path

import pytest

import ltrec
from ltrec.api.inputs import stores
from ltrec.cli.main import main
from ltrec.core.errors import UserError
from ltrec.data.remote.folder import open_store
from tests.support.given import as_lists, users_of, write_parts
from tests.support.tiny_run import tiny_words


@pytest.fixture
def url(tmp_path, monkeypatch):
    monkeypatch.setenv("LTREC_CACHE", str(tmp_path / "cache"))
    return f"memory://{tmp_path.name}"


@pytest.fixture(scope="module")
def run(undisturbed) -> ltrec.Run:
    return ltrec.load_run(undisturbed)


@pytest.fixture(scope="module")
def histories(data, tmp_path_factory) -> Path:
    return write_parts(as_lists(users_of(data)), tmp_path_factory.mktemp("lists") / "in")


def stored(url):
    store = open_store(url)
    return {name: b"".join(store.blocks(name, size)) for name, size in store.list().items()}


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def put(folder, url):
    for path in folder.iterdir():
        open_store(url).upload(path, path.name)


def test_known_users_are_answered_in_a_file_of_the_store(run, url, tmp_path):
    here, there = run.predict(out=tmp_path / "top.parquet"), run.predict(out=f"{url}/out/top.parquet")
    assert stored(f"{url}/out") == {"top.parquet": here.path.read_bytes()}
    assert there.path == there.to_dict()["predictions"] == f"{url}/out/top.parquet" and there.rows == here.rows
    with pytest.raises(UserError, match=r"top.parquet is in a store; copy it to a disk to read it$"):
        there.table()


def test_given_histories_come_from_a_store_and_go_to_one(run, histories, url, tmp_path, monkeypatch):
    put(histories, f"{url}/in")
    here = run.predict(histories=histories, out=tmp_path / "out", shard_users=20)
    upload, answered = stores.upload_whole, []

    def fail(*_):
        answered.append(content(run.path / "predictions" / next(iter(path.name for path in kept()))))
        raise UserError("the store is gone")

    def kept():
        return [*(run.path / "predictions").glob("store-*")]

    monkeypatch.setattr(stores, "upload_whole", fail)
    with pytest.raises(UserError, match="the store is gone"):
        run.predict(histories=f"{url}/in", out=f"{url}/out", shard_users=20)
    assert answered == [content(here.path)] and stored(f"{url}/out") == {}
    monkeypatch.setattr(stores, "upload_whole", upload)
    monkeypatch.setattr("ltrec.inference.job.PredictionJob.write", None)  # what was answered is not answered again
    there = run.predict(histories=f"{url}/in", out=f"{url}/out", shard_users=20)
    assert stored(f"{url}/out") == content(here.path) and kept() == []
    assert there.counts == here.counts
    with pytest.raises(UserError, match=r"out holds predictions; name another --out, or replace it with --overwrite$"):
        run.predict(histories=f"{url}/in", out=f"{url}/out", shard_users=20)


def test_an_index_in_a_store_finds_what_the_folder_finds(run, histories, url, tmp_path):
    pytest.importorskip("usearch")
    here = ltrec.index(run, out=tmp_path / "index", threads=1)
    there = ltrec.index(run, out=f"{url}/index", threads=1)
    assert there.path == f"{url}/index" and stored(f"{url}/index").keys() == content(here.path).keys()
    put(tmp_path / "index", f"{url}/same")
    answers = [
        run.predict(histories=histories, out=tmp_path / str(n), index=i).table() for n, i in enumerate([here, f"{url}/same"])
    ]
    assert answers[0] == answers[1]
    with pytest.raises(UserError, match=r"none holds no index \(index.json is missing\): make one with ltrec index RUN$"):
        run.predict(index=f"{url}/none")


@pytest.mark.slow
def test_an_exported_model_in_a_store_is_whole(run, url, tmp_path):
    here, there = ltrec.export(run, out=tmp_path / "model", k=5), ltrec.export(run, out=f"{url}/model", k=5)
    assert there.path == f"{url}/model" and stored(f"{url}/model").keys() == content(here.path).keys()
    with pytest.raises(UserError, match=r"model holds an exported model; name another --out, or replace it with --overwrite$"):
        ltrec.export(run, out=f"{url}/model")
    assert ltrec.export(run, out=f"{url}/model", k=6, overwrite=True).path == f"{url}/model"


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["evaluate", "s3://bucket/run"], "s3:/bucket/run is no folder of this machine; runs are read and written on a disk"),
        (["predict", "s3://bucket/run"], "s3:/bucket/run is no folder of this machine"),
        (
            ["train", "out=s3://bucket/runs"],
            "out is s3://bucket/runs: runs and checkpoints are on a disk, data.path may be in a store",
        ),
        (["train", "init_from=s3://bucket/run"], "init_from is s3://bucket/run: runs and checkpoints are on a disk"),
        (["predict", "RUN", "--out", "memory://x/"], "memory://x/ names no file; an address is like s3://bucket/top-k.parquet"),
    ],
)
def test_runs_stay_on_a_disk_and_that_is_one_line(words, line, run, data, tmp_path, capsys):
    own = [str(run.path) if word == "RUN" else word for word in words]
    assert main([own[0], *(tiny_words(data, tmp_path) if own[0] == "train" else []), *own[1:]]) == 2
    assert line in " ".join(capsys.readouterr().err.split())
