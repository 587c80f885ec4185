"""`open_stream`: a prepared data set's batches in one call, the same as those of a run."""

import pytest
import torch

from ltrec.core.errors import UserError
from ltrec.data.manifest import Manifest
from ltrec.data.stream import SequenceBatch, StreamConfig, World, open_stream
from ltrec.data.stream.loader import StreamLoader
from ltrec.data.stream.order.plan import Plan
from tests.support.tiny_run import STEPS_PER_EPOCH, tiny_data

CONFIG = StreamConfig(batch_rows=24, lanes=24, max_len=6, threads=1)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return tiny_data(tmp_path_factory.mktemp("stream"))


def items(loader):
    return [batch.items_T for batch in loader]


def test_it_is_the_stream_of_a_run(data):
    loader = open_stream(data, CONFIG, seed=5)
    assert isinstance(loader, StreamLoader) and all(isinstance(batch, SequenceBatch) for batch in loader)
    found = items(loader)
    manifest = Manifest.load(data)
    wanted = items(StreamLoader(data, manifest, Plan.of(manifest, 5, CONFIG), world=World(), threads=1))
    assert len(found) == STEPS_PER_EPOCH and all(torch.equal(a, b) for a, b in zip(found, wanted, strict=True))
    other = items(open_stream(data, CONFIG, seed=6))
    assert any(a.shape != b.shape or not torch.equal(a, b) for a, b in zip(found, other, strict=True))


def test_ranks_share_the_global_batch(data):
    whole = [batch.num_rows for batch in open_stream(data, CONFIG)]
    halves = [[batch.num_rows for batch in open_stream(data, CONFIG, world=World(rank, 2))] for rank in range(2)]
    assert [a + b for a, b in zip(*halves, strict=True)] == whole
    assert len(items(open_stream(data, CONFIG, accumulate=2))) == 2 * STEPS_PER_EPOCH


def test_the_state_moves_with_the_steps_that_were_trained_on(data):
    loader, trained = open_stream(data, CONFIG), []
    for batch in loader:
        trained.append(batch)
        loader.advance(batch.step)
        if batch.step == 1:
            break
    resumed = open_stream(data, CONFIG)
    resumed.load_state_dict(loader.state_dict())
    assert [batch.step for batch in resumed] == list(range(2, STEPS_PER_EPOCH)) and len(trained) == 2


def test_a_folder_without_a_data_set_is_refused(tmp_path):
    with pytest.raises(UserError, match=str(tmp_path)):
        open_stream(tmp_path)
