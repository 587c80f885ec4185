"""Data sets on a real S3 server that fails, lies and vanishes: `make test-store`."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time

import pytest

import ltrec
from ltrec.artefact.folder import ARTEFACT
from ltrec.artefact.held import held_artefact
from ltrec.core.errors import UserError
from ltrec.core.storage.remote.whole_upload import upload_whole
from ltrec.data.manifest import Manifest
from ltrec.data.remote.folder import open_store
from tests.support.logs import some_events, write_csv
from tests.support.s3_server import FAULTS, upload_folder
from tests.support.shards import random_users, write_dataset
from tests.support.source_tree import ROOT
from tests.support.store_reader import digest_of
from tests.support.timeouts import scaled
from tests.support.tiny_artefact import tiny_artefact

pytestmark = pytest.mark.slow


@pytest.fixture
def data(server, tmp_path):
    """A data set of 60 shards in a folder and on the server."""
    write_dataset(tmp_path / "set", random_users([240, 240]), block_rows=4, shard_rows=8)
    upload_folder(server, tmp_path / "set", "set")
    return tmp_path / "set"


def downloads(server):
    return {name: count for (method, name), count in server.requests.items() if method == "GET" and "part-" in name}


def cached(tmp_path):
    return list((tmp_path / "cache" / "files").iterdir())


def test_an_epoch_is_that_of_the_folder_and_each_shard_comes_once(server, data, tmp_path):
    assert digest_of(server.url("set")) == digest_of(str(data))
    assert set(downloads(server).values()) == {1}
    before = sum(server.requests.values())
    assert digest_of(server.url("set")) == digest_of(str(data))
    assert sum(server.requests.values()) - before <= 3  # of the manifest alone


@pytest.mark.parametrize("fault", FAULTS)
def test_with_a_fault_in_three_requests_the_epoch_is_the_same(server, data, fault):
    server.faults, server.share, server.stall_seconds = (fault,), 0.05 if fault == "stalled" else 0.3, 1.5
    assert digest_of(server.url("set")) == digest_of(str(data))
    assert server.happened[fault] > 0


def test_wrong_bytes_every_time_are_refused(server, data, tmp_path):
    url = server.url("set")
    digest_of(url)  # small files are in the cache now
    for path in cached(tmp_path):
        if path.stat().st_size != Manifest.load(data).vocab.bytes:
            path.unlink()
    server.faults, server.share = ("flipped",), 1.0
    with pytest.raises(UserError, match="is damaged"):
        digest_of(url)


def test_a_store_that_vanishes_in_mid_epoch_ends_it_in_one_line_and_soon(server, data):
    count = 0

    def vanish(method, name):
        nonlocal count
        count += "part-" in name
        if count == 20:
            server.faults, server.share = ("503",), 1.0

    server.on_request = vanish
    began = time.monotonic()
    with pytest.raises(UserError, match=r"s3://bucket/set/.* cannot be reached: \d+ tries in \d+ s, last: ") as caught:
        digest_of(server.url("set"), retry_seconds=2)
    assert "\n" not in str(caught.value) and time.monotonic() - began < scaled(60)
    server.stop()
    with pytest.raises(UserError, match=r"s3://bucket/set/manifest.json cannot be reached: .*[Cc]onnect"):
        digest_of(server.url("set"), retry_seconds=1)


def test_prepare_verify_and_inspect_on_a_server_that_fails(server, tmp_path):
    write_csv(tmp_path / "log.csv", some_events(40))
    here = ltrec.prepare(str(tmp_path / "log.csv"), out=tmp_path / "mine", threads=1)
    open_store(server.url("logs")).upload(tmp_path / "log.csv", "log.csv")
    server.faults = ("503", "truncated")
    there = ltrec.prepare(server.url("logs/log.csv"), out=server.url("mine"), threads=1)
    assert there.digest == here.digest == ltrec.verify(server.url("mine")).digest == ltrec.inspect(server.url("mine")).digest
    assert ltrec.prepare(server.url("logs/log.csv"), out=server.url("mine"), threads=1).up_to_date
    assert server.happened["503"] and server.happened["truncated"]


def test_a_model_is_written_to_a_server_that_fails_and_read_from_it(server, tmp_path):
    folder, url = tiny_artefact(tmp_path / "model"), server.url("model")
    server.faults = ("503", "truncated")
    upload_whole(folder, open_store(url), ARTEFACT)
    for _ in range(6):
        shutil.rmtree(tmp_path / "cache", ignore_errors=True)
        with held_artefact(url) as held:
            assert {path.name: path.read_bytes() for path in held.iterdir()} == {p.name: p.read_bytes() for p in folder.iterdir()}
    assert all(server.happened[fault] for fault in server.faults)


def reader(url, max_bytes=0):
    words = [sys.executable, "-m", "tests.support.store_reader", url, str(max_bytes)]
    return subprocess.Popen(words, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE, text=True)


def test_processes_of_a_node_download_each_shard_once(server, data):
    good = digest_of(str(data))
    processes = [reader(server.url("set")) for _ in range(3)]
    assert [process.communicate(timeout=scaled(120))[0].strip() for process in processes] == [good] * 3
    assert set(downloads(server).values()) == {1}
