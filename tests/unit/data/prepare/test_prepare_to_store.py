"""Logs from a store and data sets into one: the bytes of a local prepare, the manifest last, and nothing done twice."""

import pytest

import ltrec
from ltrec.cli.main import main
from ltrec.core.errors import UserError
from ltrec.core.storage.remote.store import RemoteStore
from ltrec.data.remote import upload
from ltrec.data.remote.folder import open_store
from tests.support.logs import START, some_events, write_csv


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Logs on disk and in a store, and an empty cache."""
    monkeypatch.setenv("LTREC_CACHE", str(tmp_path / "cache"))
    write_csv(tmp_path / "logs" / "day=1" / "a.csv", some_events(20))
    write_csv(tmp_path / "logs" / "day=2" / "b.csv", [(f"v{n % 5}", f"i{n % 7}", START + 2000 + n) for n in range(40)])
    store = open_store(f"memory://{tmp_path.name}")
    for path in (tmp_path / "logs").rglob("*.csv"):
        store.upload(path, path.relative_to(tmp_path).as_posix())
    return tmp_path


def at(place, name):
    return f"memory://{place.name}/{name}"


def files_of(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def stored(url):
    store = open_store(url)
    return {name: b"".join(store.blocks(name, size)) for name, size in store.list().items()}


def test_bytes_are_those_of_a_local_prepare_wherever_the_logs_are(place):
    here = ltrec.prepare(str(place / "logs"), out=place / "set", threads=1)
    there = ltrec.prepare(at(place, "logs"), out=at(place, "set"), threads=1)
    assert stored(at(place, "set")) == files_of(place / "set") and not there.up_to_date
    assert there.digest == here.digest and str(there.to_dict()["data"]) == at(place, "set")
    assert not list((place / "cache").glob("logs/[!.]*")) and not list((place / "cache").glob("prepared/[!.]*"))
    again = ltrec.prepare(at(place, "logs"), out=at(place, "set"), threads=1)
    assert again.up_to_date and again.digest == here.digest


@pytest.mark.parametrize("pattern", ["logs/*/*.csv", "logs/day=1/a.csv", "logs/**/*.csv"])
def test_patterns_and_files_in_a_store_mean_what_they_mean_on_disk(place, pattern):
    here = ltrec.prepare(str(place / pattern), out=place / "set", threads=1)
    there = ltrec.prepare(at(place, pattern), out=place / "from" / "set", threads=1)
    assert there.digest == here.digest
    with pytest.raises(UserError, match=r"memory://.*/logs/none.csv not found"):
        ltrec.prepare(at(place, "logs/none.csv"), out=place / "other")


def test_another_data_set_is_refused_or_replaced_in_one_step(place):
    url = at(place, "set")
    first = ltrec.prepare(str(place / "logs"), out=url, threads=1)
    with pytest.raises(UserError, match=r"memory://.*/set was prepared with prepare.history_cap=10000, not 5; use --overwrite"):
        ltrec.prepare(str(place / "logs"), out=url, threads=1, history_cap=5)
    second = ltrec.prepare(str(place / "logs"), out=url, threads=1, history_cap=5, overwrite=True)
    assert second.digest != first.digest
    assert set(stored(url)) == {"manifest.json", *second.manifest.files()}
    open_store(url).write("notes.txt", b"mine")
    with pytest.raises(UserError, match=r"memory://.*/set holds other files \(notes.txt\)"):
        ltrec.prepare(str(place / "logs"), out=url, threads=1, history_cap=6, overwrite=True)


def test_an_interrupted_upload_has_no_manifest_and_the_next_one_sends_the_rest(place, monkeypatch):
    url, sent, send = at(place, "set"), [], RemoteStore.upload
    good = ltrec.prepare(str(place / "logs"), out=place / "set", threads=1).manifest
    monkeypatch.setattr(RemoteStore, "upload", lambda self, path, name: sent.append(name) or send(self, path, name))
    for stop_at in range(len(good.files()) + 1):
        monkeypatch.setattr(upload, "refuse_incomplete", _stopping)
        monkeypatch.setattr(RemoteStore, "upload", _sends(sent, send, stop_at))
        with pytest.raises(KeyboardInterrupt):
            ltrec.prepare(str(place / "logs"), out=url, threads=1)
        with pytest.raises(UserError, match=r"is not a prepared data set"):
            ltrec.inspect(url)
    monkeypatch.undo()
    monkeypatch.setenv("LTREC_CACHE", str(place / "cache"))
    name = next(iter(good.files()))
    open_store(url).write(name, b"\0" * good.files()[name][0])  # as large as it should be, and another
    ltrec.prepare(str(place / "logs"), out=url, threads=1)
    assert stored(url) == files_of(place / "set")
    assert len(sent) == len(set(sent)) == len(good.files())  # nothing went twice


def _sends(sent, send, most):
    def upload_some(self, path, name):
        if len(sent) >= most:
            raise KeyboardInterrupt
        sent.append(name)
        send(self, path, name)

    return upload_some


def _stopping(*_):
    raise KeyboardInterrupt


def test_what_the_store_lost_is_sent_again(place):
    url = at(place, "set")
    lost = next(iter(ltrec.prepare(str(place / "logs"), out=url, threads=1).manifest.files()))
    good = stored(url)
    open_store(url).remove(lost)
    assert ltrec.prepare(str(place / "logs"), out=url, threads=1).mended
    assert stored(url) == good


def test_verify_reads_the_store_and_finds_what_is_wrong_there(place):
    url = at(place, "set")
    data = ltrec.prepare(str(place / "logs"), out=url, threads=1)
    good, store = stored(url), open_store(url)
    assert ltrec.verify(url).digest == data.digest
    for name, content in good.items():
        flipped = bytearray(content)
        flipped[len(content) // 2] ^= 8
        store.write(name, bytes(flipped))
        with pytest.raises(UserError, match="damaged") as caught:
            ltrec.verify(url)
        assert f"{url}/{name}" in str(caught.value)
        store.write(name, content[:-1])
        with pytest.raises(UserError, match=r"memory://.*damaged|bytes instead of"):
            ltrec.verify(url)
        store.write(name, content)
    store.write("stratum=0/part-00009-0.parquet", b"PAR1")
    with pytest.raises(UserError, match=r"part-00009-0.parquet is not in the manifest"):
        ltrec.verify(url)


def test_verify_says_how_to_mend_a_file_that_a_store_has_lost(place):
    store = open_store(url := at(place, "set"))
    ltrec.prepare(str(place / "logs"), out=url, threads=1)
    lost = next(name for name in store.list() if name.startswith("stratum="))
    store.remove(lost)
    with pytest.raises(UserError, match=f"{lost} is missing; prepare the data again with --overwrite$"):
        ltrec.verify(url)


def test_commands_take_addresses(place, capsys):
    url = at(place, "set")
    assert main(["prepare", at(place, "logs"), "--out", url, "threads=1"]) == 0
    assert main(["inspect", url]) == 0 and main(["verify", url]) == 0
    shown = capsys.readouterr()
    assert f"data set: {url}  digest" in shown.err and f"{url} is intact" in shown.err
    assert main(["prepare", at(place, "logs"), "--out", "s3://me:secret@bucket/x"]) == 2
    assert "secret" not in capsys.readouterr().err
