"""Folders that a marker names: read through the node's cache, every file compared with its digest."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from ltrec.core.errors import UserError
from ltrec.data.remote.folder import open_store
from ltrec.data.remote.held_folder import held_folder


def files_of(text, address):
    return {name: tuple(file) for name, file in json.loads(text).items()}


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.setenv("LTREC_CACHE", str(tmp_path / "cache"))
    store = open_store(f"file://{tmp_path}/model")
    write(store, a=b"first", b=b"second")
    return store


def write(store, **files):
    for name, content in files.items():
        store.write(name, content)
    about = {name: [len(content), hashlib.sha256(content).hexdigest()] for name, content in files.items()}
    store.write("about.json", json.dumps(about).encode())


def held(store):
    return held_folder(store.url, "about.json", files_of, "holds nothing")


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "about.json"}


def test_a_folder_is_itself(tmp_path):
    with held_folder(tmp_path / "here", "about.json", files_of, "holds nothing") as folder:
        assert folder == tmp_path / "here"


def test_files_come_once_and_stay_while_they_are_held(store, tmp_path):
    with held(store) as folder:
        assert content(folder) == {"a": b"first", "b": b"second"}
        store.remove("a")
        with held(store) as again:
            assert again == folder and content(again) == content(folder)
    write(store, a=b"another", b=b"second")
    with held(store) as other:
        assert other != folder and content(other) == {"a": b"another", "b": b"second"}


def test_what_is_missing_or_another_file_is_one_line_with_the_address(store):
    store.write("b", b"sEcond")
    with (
        pytest.raises(UserError, match=rf"^{store.url}/b is damaged: three times its content was not that of the manifest"),
        held(store),
    ):
        pass
    store.write("b", b"cut")
    with pytest.raises(UserError, match=rf"^{store.url}/b has 3 bytes instead of 6; write it there again$"), held(store):
        pass
    store.remove("b")
    with pytest.raises(UserError, match=rf"^{store.url}/b is missing in the store; write it there again$"), held(store):
        pass
    store.write("about.json", json.dumps({"../up": [1, "0"]}).encode())
    with pytest.raises(UserError, match=r"about.json names '../up', which is no file beside it$"), held(store):
        pass
    store.remove("about.json")
    with pytest.raises(UserError, match=rf"^{store.url} holds nothing$"), held(store):
        pass


def test_faults_found_in_it_name_the_address(store):
    with pytest.raises(UserError, match=rf"^{store.url}/a is odd$"), held(store) as folder:
        raise UserError(f"{folder / 'a'} is odd")
    assert Path(store.url.removeprefix("file://")).is_dir()
