"""kill -9 of readers and of training while shards come from a store: repeated, the same bytes and the same weights; no wait has no
end."""

from __future__ import annotations

import random
import shutil
import time

import pytest

from ltrec.cli.main import main
from ltrec.config.load import load
from ltrec.core.storage.atomic import sha256_file
from ltrec.data.manifest import Manifest
from ltrec.run.train import train
from tests.support.killable_job import lines_written, wait_for
from tests.support.killable_process import KillableProcess
from tests.support.s3_server import upload_folder
from tests.support.shards import random_users, write_dataset
from tests.support.store_reader import digest_of
from tests.support.tiny_run import checkpoint, refuse_differences, tiny_words

pytestmark = pytest.mark.slow
EPOCHS, STEPS = 60, 240
STREAMED = ["stream.resident_mib=0", "stream.lanes=6", "stream.buffer_blocks=2", "stream.shuffle_shards=2"]
WORDS = [*STREAMED, f"trainer.max_epochs={EPOCHS}", "trainer.patience=0", "trainer.log_every_steps=1"]
WORDS += ["trainer.validate_every_epochs=4", "trainer.checkpoint_every_steps=3"]


class Requests:
    """Counts requests for shards, and sees when so many more have come."""

    def __init__(self, server) -> None:
        self.count = 0
        server.on_request = self._hear

    def _hear(self, method: str, name: str) -> None:
        self.count += "part-" in name

    def after(self, more: int):
        """Whether so many more have come since now."""
        end = self.count + more
        return lambda: self.count >= end


@pytest.fixture
def requests(server):
    return Requests(server)


def torn(cache):
    """Files of the cache that are not what their names say; unfinished ones have another name."""
    files = [path for path in (cache / "files").iterdir() if path.suffix != ".part"]
    return [path.name for path in files if sha256_file(path) != path.name]


@pytest.mark.timeout(1800)
def test_readers_killed_fifty_times_while_they_download(server, requests, tmp_path):
    """Every fifth time another reader waits for what the killed one was downloading; now and then the cache was empty before."""
    data, cache, draw = tmp_path / "set", tmp_path / "cache", random.Random(5)
    manifest = write_dataset(data, random_users([240, 240]), block_rows=4, shard_rows=8)
    upload_folder(server, data, "set")
    url, good = server.url("set"), digest_of(str(data))
    budget = manifest.vocab.bytes + 24 * max(shard.bytes for shard in manifest.shards)
    for number in range(50):
        if draw.random() < 0.3:
            shutil.rmtree(cache, ignore_errors=True)
        came = requests.after(draw.randrange(1, 30))
        with KillableProcess(digest_of, url, budget) as reader:
            if number % 5:
                wait_for(came, reader)
                time.sleep(draw.random() * 0.02)
                reader.kill()
            else:
                with KillableProcess(digest_of, url, budget) as other:
                    wait_for(came, reader)
                    reader.kill()
                    assert other.result() == good
        assert torn(cache) == [] and sum(path.stat().st_size for path in (cache / "files").iterdir()) <= budget
        assert digest_of(url, budget) == good
        assert not [path for path in (cache / "files").iterdir() if path.suffix == ".part"]


def run_train(words: list[str]) -> int:
    return main(["train", *words])


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A data set of many small shards, and the run that nobody kills, on the local folder."""
    data = tmp_path_factory.mktemp("data")
    manifest = write_dataset(data, random_users([40, 30, 20], num_items=30, longest=8), num_items=30, block_rows=2, shard_rows=4)
    assert len(manifest.shards) > 20 and Manifest.load(data) == manifest
    run = train(load([], tiny_words(data, tmp_path_factory.mktemp("undisturbed"), *WORDS))).path
    assert checkpoint(run)["global_step"] == STEPS
    return data, run


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seed", range(5))
def test_training_killed_ten_times(seed, trained, server, requests, tmp_path):
    """While it starts, while it waits for a shard, between any two steps; every other time the next one starts on another node,
    with an empty cache."""
    data, undisturbed = trained
    upload_folder(server, data, "set")
    words = tiny_words(server.url("set"), tmp_path, *WORDS)
    draw, run = random.Random(seed), tmp_path / "r"
    for number in range(10):
        if draw.random() < 0.5:
            shutil.rmtree(tmp_path / "cache", ignore_errors=True)
            came = requests.after(draw.randrange(1, 20))
        else:
            lines = min(lines_written(run) + draw.randrange(1, 16), 15 * (number + 1))
            came = lambda lines=lines: lines_written(run) >= lines  # noqa: E731
        with KillableProcess(run_train, words) as process:
            wait_for(came, process)
            time.sleep(draw.random() * 0.02)
            process.kill()
            assert process.returncode != 0, "it had ended before it was killed"
    with KillableProcess(run_train, words) as process:
        assert process.result(600) == 0
    refuse_differences(run, undisturbed)
    assert torn(tmp_path / "cache") == [] and next(tmp_path.rglob("*.tmp"), None) is None
