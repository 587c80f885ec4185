"""Training from a store: bit for bit the run that the local folder gives, also killed and resumed with a cache that is gone."""

import shutil

import pytest

import ltrec.run.train as training
from ltrec.data.remote.folder import open_store
from tests.support.killed_run import train_killed
from tests.support.tiny_run import refuse_differences, tiny_config


@pytest.fixture
def address(data, tmp_path, monkeypatch):
    """The data set in a store that lives in this process's memory."""
    monkeypatch.setenv("LTREC_CACHE", str(tmp_path / "cache"))
    store = open_store(f"memory://{tmp_path.name}/set")
    for path in data.rglob("*"):
        if path.is_file():
            store.upload(path, path.relative_to(data).as_posix())
    return store.url


def test_killed_resumed_and_finished_it_is_the_run_of_the_local_folder(address, undisturbed, tmp_path):
    config = tiny_config(address, tmp_path)
    train_killed(config, 6)
    shutil.rmtree(tmp_path / "cache")
    training.train(config)
    refuse_differences(tmp_path / "r", undisturbed)
    assert f"path: {address}" in (tmp_path / "r" / "config.yaml").read_text()
