"""Stores: addresses without credentials, files there and back, retries with an end."""

import pyarrow as pa
import pytest
from pyarrow import fs

from ltrec.core.errors import UserError
from ltrec.core.storage.remote import store as stores
from ltrec.core.storage.remote.retry import Retry
from ltrec.core.storage.remote.store import RemoteStore
from ltrec.core.storage.remote.url import checked_url, is_url, joined

ONCE = Retry(0)


@pytest.fixture(params=["memory", "file"])
def store(request, tmp_path):
    return RemoteStore(f"memory://{tmp_path.name}/set" if request.param == "memory" else f"file://{tmp_path}/set", ONCE)


def test_files_there_and_back(store, tmp_path):
    content = bytes(range(256)) * 40_000  # more than one block
    (tmp_path / "here").write_bytes(content)
    heard = []
    store.upload(tmp_path / "here", "stratum=0/part.parquet", heard.append)
    store.write("manifest.json", b"{}")
    assert heard == [len(content)]
    assert store.list() == {"manifest.json": 2, "stratum=0/part.parquet": len(content)}
    assert store.list("stratum=0") == {"stratum=0/part.parquet": len(content)}
    assert store.list("nothing") == {}
    assert b"".join(store.blocks("stratum=0/part.parquet", len(content))) == content
    assert len(list(store.blocks("stratum=0/part.parquet", len(content)))) == 2
    assert store.read("manifest.json", 2) == b"{}"
    assert (store.size("manifest.json"), store.size("nothing")) == (2, None)
    for _ in range(2):  # nothing happens the second time
        store.remove("manifest.json")
    assert store.list() == {"stratum=0/part.parquet": len(content)}


def test_what_is_missing_or_too_large_says_so(store):
    with pytest.raises(FileNotFoundError):
        store.read("manifest.json", 9)
    store.write("manifest.json", bytes(10))
    with pytest.raises(UserError, match=r"manifest.json has 10 bytes, more than the 9"):
        store.read("manifest.json", 9)
    with pytest.raises(UserError, match=r"manifest.json cannot be reached: 1 try in 0 s, last: 10 of 11 bytes came"):
        list(store.blocks("manifest.json", 11))


@pytest.mark.parametrize(
    "url",
    [
        "s3://AKIAIOSFODNN7EXAMPLE:wJalrXUtnFEMI@bucket/data",
        "s3://user@bucket/data",
        "s3://bucket/data?access_key=AKIAIOSFODNN7EXAMPLE&secret_key=wJalrXUtnFEMI",
        "s3://bucket/data?session_token=",
        "ftp://me:wJalrXUtnFEMI@host/data",
    ],
)
def test_credentials_in_an_address_are_refused_and_not_repeated(url):
    with pytest.raises(UserError, match=r"holds credentials.* leave them out and use the environment") as caught:
        RemoteStore(url, ONCE)
    assert "AKIA" not in str(caught.value) and "wJalr" not in str(caught.value)


def test_addresses():
    assert [is_url(place) for place in ("s3://b/x", "memory://x", "data/x", "/s3:/x", "C:/x", "a=s3://b")] == [True, True] + [
        False
    ] * 4
    assert checked_url("s3://b/x//?region=eu-west-1") == "s3://b/x?region=eu-west-1"
    assert checked_url("s3://b/") == checked_url("s3://b") == "s3://b"
    assert joined("s3://b/x?region=eu-west-1", "a/b") == "s3://b/x/a/b?region=eu-west-1"
    with pytest.raises(UserError, match="s3:// names no folder"):
        checked_url("s3://")


def test_schemes_and_options_that_nothing_knows_are_refused():
    with pytest.raises(UserError, match=r"nowhere://x/y cannot be opened: .*nowhere"):
        RemoteStore("nowhere://x/y", ONCE)
    with pytest.raises(UserError, match=r"'schema' is not one of endpoint_override, scheme, region \(did you mean 'scheme'\?\)"):
        RemoteStore("s3://b/x?schema=http", ONCE)


def test_an_s3_service_of_another_provider_is_found_in_the_environment(monkeypatch):
    made = []
    monkeypatch.setattr(stores.fs, "S3FileSystem", lambda **options: made.append(options))
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9000")
    RemoteStore("s3://b/x", ONCE)
    RemoteStore("s3://b/x?endpoint_override=store:1&scheme=https", ONCE)
    assert [(m["scheme"], m["endpoint_override"]) for m in made] == [("http", "127.0.0.1:9000"), ("https", "store:1")]


@pytest.mark.parametrize("url", ["s3://b", "s3://b/", "s3://b/?region=eu-west-1"])
def test_files_at_the_top_of_a_bucket_are_asked_for_by_their_names(monkeypatch, url):
    """S3 knows no empty names, and `s3://b/log.csv` is a file of the store `s3://b/`."""
    asked = []

    class Files:
        def get_file_info(self, path):
            asked.append(path)
            return fs.FileInfo("b/log.csv", fs.FileType.File, size=7)

    monkeypatch.setattr(stores.fs, "S3FileSystem", lambda **_: Files())
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9000")
    assert RemoteStore(url, ONCE).size("log.csv") == 7 and asked == ["b/log.csv"]


def failing(times, error):
    left = [error] * times

    def attempt():
        if left:
            raise left.pop()
        return "done"

    return attempt


@pytest.fixture
def pauses(monkeypatch):
    found, clock = [], [0.0]
    monkeypatch.setattr("ltrec.core.storage.remote.retry.time.sleep", lambda s: (found.append(s), clock.append(clock[-1] + s)))
    monkeypatch.setattr("ltrec.core.storage.remote.retry.time.monotonic", lambda: clock[-1])
    return found


def test_what_fails_is_repeated_with_growing_pauses(pauses):
    assert Retry(60).call("s3://b/x", failing(5, OSError("503"))) == "done"
    assert len(pauses) == 5 and pauses[-1] > pauses[0] and sum(pauses) < 60


def test_after_a_while_one_line_says_what_where_and_how_often(pauses):
    with pytest.raises(UserError, match=r"^s3://b/x cannot be reached: \d+ tries in \d+ s, last: 503 slow down$"):
        Retry(60).call("s3://b/x", failing(1000, OSError("503 slow down\nstack")))
    assert 30 < sum(pauses) <= 60


@pytest.mark.parametrize(
    "error", [PermissionError("no"), pa.ArrowInvalid("Empty path component"), OSError("AWS Error ACCESS_DENIED during GetObject")]
)
def test_what_stays_is_not_repeated(pauses, error):
    with pytest.raises(UserError, match="1 try in 0 s"):
        Retry(60).call("s3://b/x", failing(9, error))
    with pytest.raises(FileNotFoundError):
        Retry(60).call("s3://b/x", failing(9, FileNotFoundError("x")))
    assert pauses == []
