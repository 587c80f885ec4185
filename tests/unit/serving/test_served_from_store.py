"""A model at an address in a store: the same digest and answers as from its folder, also after another took its place."""

from __future__ import annotations

import pytest

from ltrec.artefact.folder import ARTEFACT
from ltrec.core.errors import UserError
from ltrec.core.storage.remote.whole_upload import upload_whole
from ltrec.data.remote.folder import open_store
from ltrec.serving.served import Query
from tests.support.serving import opened
from tests.support.tiny_artefact import tiny_artefact


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.setenv("LTREC_CACHE", str(tmp_path / "cache"))
    return open_store(f"memory://{tmp_path.name}/model")


def answers(model):
    return model.answer([Query({"items": ["i3", "i7"], "time": [1, 2], "kind": ["view", None], "age": 3.0}, 10)])[0].items


def test_it_is_the_model_of_the_folder_and_another_may_take_its_place(store, tmp_path):
    for seed in (0, 1):
        folder = tiny_artefact(tmp_path / str(seed), seed=seed)
        upload_whole(folder, store, ARTEFACT)
        here, there = opened(folder), opened(store.url)
        assert there.digest == here.digest and there.about["run"] == f"tiny-{seed}"
        assert answers(there) == answers(here)


def test_what_is_not_a_whole_model_is_one_line(store, tmp_path):
    with pytest.raises(UserError, match=rf"^{store.url} is no exported model: it has no artefact.json"):
        opened(store.url)
    upload_whole(tiny_artefact(tmp_path / "0"), store, ARTEFACT)
    store.write("tables.safetensors", b"another")
    with pytest.raises(UserError, match=rf"^{store.url}/tables.safetensors has 7 bytes instead of [0-9]+; write it there again$"):
        opened(store.url)
    store.write("artefact.json", b"{}")
    with pytest.raises(UserError, match=rf"^{store.url}/artefact.json is damaged; export the model again$"):
        opened(store.url)
