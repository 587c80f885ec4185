"""A folder in a store is whole or absent, wherever an upload ends."""

from __future__ import annotations

import pytest

from ltrec.core.errors import UserError
from ltrec.core.storage.remote.retry import Retry
from ltrec.core.storage.remote.store import RemoteStore
from ltrec.core.storage.remote.whole_upload import WRITING, refuse_other_stored, upload_whole
from ltrec.core.storage.whole_folder import FolderKind

KIND = FolderKind("about.json", "a model", "no model", ("part-*",))


class Dying(RemoteStore):
    """Ends at a call that changes something, in its middle."""

    left = 1000

    def _send(self, name, blocks):
        self._count()
        super()._send(name, blocks)

    def remove(self, name):
        self._count()
        super().remove(name)

    def _count(self):
        self.left -= 1
        if self.left < 0:
            raise KeyboardInterrupt


@pytest.fixture(params=["memory", "file"])
def url(request, tmp_path):
    return f"memory://{tmp_path.name}/model" if request.param == "memory" else f"file://{tmp_path}/model"


def local(folder, text, parts):
    folder.mkdir()
    for name in ("about.json", "table", *(f"part-{n}" for n in range(parts))):
        (folder / name).write_text(f"{text} {name}")
    return folder


def found(url):
    store = RemoteStore(url, Retry(0))
    return {name: b"".join(store.blocks(name, size)).decode() for name, size in store.list().items()}


def expected(folder):
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_wherever_it_ends_there_is_the_whole_old_one_the_whole_new_one_or_none(url, tmp_path):
    old, new = local(tmp_path / "old", "old", 3), local(tmp_path / "new", "newer", 1)
    seen, calls = set(), 0
    while True:
        store = Dying(url, Retry(0))
        upload_whole(old, store, KIND)
        assert found(url) == expected(old)
        store.left = calls
        try:
            upload_whole(new, store, KIND)
        except KeyboardInterrupt:
            calls += 1
        else:
            break
        there = found(url)
        if "about.json" in there:
            whole = [name for name, folder in (("old", old), ("new", new)) if expected(folder).items() <= there.items()]
            assert len(whole) == 1, calls
            seen.add(whole[0])
        else:
            seen.add("none")
        refuse_other_stored(store, KIND, overwrite=True)  # the same command may be repeated
        upload_whole(new, RemoteStore(url, Retry(0)), KIND)
        assert found(url) == expected(new)
    assert seen == {"old", "none", "new"} and calls > 6


def test_what_else_is_there_is_refused_and_stays(url, tmp_path):
    store, new = RemoteStore(url, Retry(0)), local(tmp_path / "new", "new", 1)
    refuse_other_stored(store, KIND, overwrite=False)
    store.write("notes.txt", b"mine")
    with pytest.raises(UserError, match=r"model is there already, and is no model; name another --out$"):
        refuse_other_stored(store, KIND, overwrite=True)
    store.write("below/part-9", b"another folder's")
    store.write("part-9", b"a former one's")
    store.write("about.json", b"old")
    with pytest.raises(UserError, match=r"model holds a model; name another --out, or replace it with --overwrite$"):
        refuse_other_stored(store, KIND, overwrite=False)
    upload_whole(new, store, KIND)
    assert found(url) == {**expected(new), "notes.txt": "mine", "below/part-9": "another folder's"}


def test_a_file_that_arrives_with_another_size_leaves_no_marker(url, tmp_path, monkeypatch):
    store, new = RemoteStore(url, Retry(0)), local(tmp_path / "new", "new", 1)
    send = store._send
    monkeypatch.setattr(store, "_send", lambda name, blocks: send(name, iter([b"cut"]) if name == "table" else blocks))
    with pytest.raises(UserError, match=r"table has 3 bytes instead of 9; run the same command again$"):
        upload_whole(new, store, KIND)
    assert "about.json" not in found(url) and WRITING in found(url)


def test_a_single_file_replaces_another_and_is_never_seen_in_part(url, tmp_path):
    (tmp_path / "one").write_text("one")
    (tmp_path / "two").write_text("two, longer")
    store = Dying(url, Retry(0))
    store.replace(tmp_path / "one", "top.parquet")
    for calls in range(2):
        store.left = calls
        with pytest.raises(KeyboardInterrupt):
            store.replace(tmp_path / "two", "top.parquet")
        assert found(url)["top.parquet"] == "one"
    store.left = 1000
    store.replace(tmp_path / "two", "top.parquet")
    assert found(url) == {"top.parquet": "two, longer"}
