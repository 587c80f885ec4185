"""The commands as processes of their own on a real S3 server: what they write there are the files of a folder, and what they read
is used from there, also by two processes under torchrun."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from ltrec.data.remote.folder import open_store
from tests.support.commands import ltrec
from tests.support.given import as_lists, users_of, write_parts
from tests.support.s3_server import S3Server, upload_folder
from tests.support.serve_process import ServerProcess
from tests.support.tiny_fixtures import data, undisturbed  # noqa: F401

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def histories(data, tmp_path_factory) -> Path:  # noqa: F811
    return write_parts(as_lists(users_of(data)), tmp_path_factory.mktemp("lists") / "in")


@pytest.fixture
def cache(tmp_path) -> dict[str, str]:
    """The node's cache, for processes that are started without this one's settings."""
    return {"LTREC_CACHE": str(tmp_path / "cache")}


def stored(server: S3Server, name: str) -> dict[str, bytes]:
    store = open_store(server.url(name))
    return {file: b"".join(store.blocks(file, size)) for file, size in store.list().items()}


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_two_processes_predict_from_the_store_to_the_store(server, undisturbed, histories, cache, tmp_path):  # noqa: F811
    """Every process answers its own part; one uploads all of it, when all is there."""
    upload_folder(server, histories, "in")
    ltrec("predict", undisturbed, "--input", histories, "--out", tmp_path / "here", "--shard-users", 20)
    words = ("--input", server.url("in"), "--out", server.url("out"), "--shard-users", 20)
    ltrec("predict", undisturbed, *words, processes=2, **cache)
    assert stored(server, "out") == content(tmp_path / "here")
    again = ltrec("predict", undisturbed, *words, processes=2, check=False, **cache)
    said = [line for line in again.stderr.splitlines() if line.startswith("error: ")]
    assert again.returncode and said and all("holds predictions; name another --out, or replace it" in line for line in said)
    assert stored(server, "out") == content(tmp_path / "here")


def test_an_index_in_the_store_gives_candidates(server, undisturbed, histories, cache, tmp_path):  # noqa: F811
    words = ("--connectivity", 64, "--threads", 1)
    ltrec("index", undisturbed, "--out", tmp_path / "index", *words)
    ltrec("index", undisturbed, "--out", server.url("index"), *words, **cache)
    assert stored(server, "index").keys() == content(tmp_path / "index").keys()
    mine, there = tmp_path / "mine", tmp_path / "there"
    ltrec("predict", undisturbed, "--input", histories, "--out", mine, "--index", tmp_path / "index")
    ltrec("predict", undisturbed, "--input", histories, "--out", there, "--index", server.url("index"), processes=2, **cache)
    assert [name for name in content(mine) if name.endswith(".parquet")]
    assert {name: own for name, own in content(mine).items() if name.endswith(".parquet")} == {
        name: own for name, own in content(there).items() if name.endswith(".parquet")
    }


def test_a_model_is_served_from_the_store(server, undisturbed, cache, tmp_path, monkeypatch):  # noqa: F811
    ltrec("export", undisturbed, "--out", server.url("model"), **cache)
    ltrec("export", undisturbed, "--out", tmp_path / "model")
    assert stored(server, "model").keys() == content(tmp_path / "model").keys()
    asked, answers = {"histories": [{"items": ["i1", "i2"]}, {"items": []}], "k": 5}, []
    for artefact in (tmp_path / "model", server.url("model")):
        with ServerProcess(artefact, tmp_path / f"served-{len(answers)}") as process:
            answers.append(httpx.post(f"{process.url}/recommend", json=asked, trust_env=False, timeout=60).json())
    here, there = ([{k: v for k, v in one.items() if k != "artefact"} for one in [answer]] for answer in answers)
    assert here == there
