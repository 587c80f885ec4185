"""The node's cache: whole files or none, one download, nothing in use removed, room made by age."""

import contextlib
import errno
import hashlib
import os
import threading
import time

import pytest

from ltrec.core.errors import UserError
from ltrec.core.storage.remote import node_cache
from ltrec.core.storage.remote.file_locks import exclusive
from ltrec.core.storage.remote.node_cache import CachedFile, NodeCache, is_intact
from tests.support.timeouts import scaled


def content_of(number, size=100):
    return bytes([number]) * size


def file_of(content):
    return CachedFile(hashlib.sha256(content).hexdigest(), len(content), "s3://b/x")


def hold(cache, content, came=None):
    """The file's content, as a holder reads it."""

    def blocks():
        if came is not None:
            came.append(content[:1])
        yield content[:7]
        yield content[7:]

    with cache.hold(file_of(content), blocks) as (path, is_new):
        assert is_intact(path, file_of(content))
        return path.read_bytes(), is_new


def names(cache):
    return sorted(path.name for path in cache.folder.joinpath("files").iterdir())


def test_a_file_is_written_once_and_then_read(tmp_path):
    cache, came = NodeCache(tmp_path), []
    assert [hold(cache, content_of(1), came)[1] for _ in range(3)] == [True, False, False]
    assert len(came) == 1 and names(cache) == [file_of(content_of(1)).sha256]
    assert hold(NodeCache(tmp_path), content_of(1), came)[1] is False  # another process
    assert hold(cache, b"") == (b"", True)


def test_the_least_recently_used_goes_first(tmp_path):
    cache = NodeCache(tmp_path, max_bytes=300)
    for number in (1, 2, 3):
        hold(cache, content_of(number))
        os.utime(cache.path(file_of(content_of(number))), (number, number))
    hold(cache, content_of(1))  # used again, now
    hold(cache, content_of(4))
    assert names(cache) == sorted(file_of(content_of(n)).sha256 for n in (1, 3, 4))
    assert cache.used_bytes() == 300


def test_what_is_in_use_stays_and_too_little_room_is_one_line(tmp_path):
    cache = NodeCache(tmp_path, max_bytes=150, patience=0.0)
    with cache.hold(file_of(content_of(1)), lambda: iter([content_of(1)])) as (path, _):
        with pytest.raises(
            UserError, match=r"no room for the 100 bytes of s3://b/x .* in use take 100 bytes of at most 150; raise data"
        ):
            hold(cache, content_of(2))
        assert path.read_bytes() == content_of(1)
    assert hold(cache, content_of(2))[1] and names(cache) == [file_of(content_of(2)).sha256]
    with pytest.raises(UserError, match="no room for the 151 bytes"):
        hold(cache, content_of(3, 151))


def test_what_need_not_come_does_not_wait_for_room(tmp_path):
    cache = NodeCache(tmp_path, max_bytes=100, patience=1000.0)
    with (
        cache.hold(file_of(content_of(1)), lambda: iter([content_of(1)])),
        pytest.raises(UserError, match="no room"),
        cache.hold(file_of(content_of(2)), lambda: iter([content_of(2)]), wait=False),
    ):
        pass


def test_it_waits_for_room_that_others_release(tmp_path):
    cache = NodeCache(tmp_path, max_bytes=100)
    held, release = threading.Event(), threading.Event()

    def other():
        with NodeCache(tmp_path).hold(file_of(content_of(1)), lambda: iter([content_of(1)])):
            held.set()
            release.wait()

    thread = threading.Thread(target=other)
    thread.start()
    held.wait()
    threading.Timer(0.3, release.set).start()
    assert hold(cache, content_of(2))[1]
    thread.join()


def test_wrong_content_is_fetched_again_and_never_gets_the_name(tmp_path):
    cache, good = NodeCache(tmp_path), content_of(1)
    versions = [b"x" * 100, good[:-1], good]
    with cache.hold(file_of(good), lambda: iter([versions.pop(0)])) as (path, _):
        assert path.read_bytes() == good and not versions
    other = content_of(2)
    with pytest.raises(UserError, match="s3://b/x is damaged: three times its content was not that of the manifest"):
        hold_wrong = cache.hold(file_of(other), lambda: iter([b"y" * 100]))
        hold_wrong.__enter__()
    assert names(cache) == [file_of(good).sha256]


def test_a_failed_download_leaves_nothing_and_the_next_one_succeeds(tmp_path):
    cache = NodeCache(tmp_path)

    def broken():
        yield b"x"
        raise UserError("the store is gone")

    with pytest.raises(UserError, match="gone"), cache.hold(file_of(content_of(1)), broken):
        pass
    assert names(cache) == [] and hold(cache, content_of(1))[1]


def test_what_a_killed_process_left_is_written_again_or_removed(tmp_path):
    cache, part = NodeCache(tmp_path), f"{file_of(content_of(1)).sha256}.part"
    (tmp_path / "files" / part).write_bytes(b"half" * 100)
    assert hold(cache, content_of(1))[1] and names(cache) == [file_of(content_of(1)).sha256]
    (tmp_path / "files" / part).write_bytes(b"half")
    busy = exclusive(tmp_path / "files" / "0.part")
    NodeCache(tmp_path)
    assert names(cache) == sorted([file_of(content_of(1)).sha256, "0.part"])  # that of a living process stays
    os.close(busy)


def test_threads_wait_for_the_one_that_downloads(tmp_path):
    cache, came, found = NodeCache(tmp_path), [], []

    def slow():
        came.append(1)
        time.sleep(0.05)
        yield content_of(1)

    def read():
        with NodeCache(tmp_path).hold(file_of(content_of(1)), slow) as (path, _):
            found.append(path.read_bytes())

    threads = [threading.Thread(target=read) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(came) == 1 and found == [content_of(1)] * 8 and len(names(cache)) == 1


def test_who_waited_for_the_download_reads_while_the_writer_still_holds_the_file(tmp_path):
    """Both may belong to one job: the writer waits for the reader's gradients before it reads on."""
    file, starts, served = file_of(content_of(1)), threading.Event(), threading.Event()

    def slow():
        starts.set()
        time.sleep(0.3)  # the reader comes meanwhile
        yield content_of(1)

    def read():
        starts.wait()
        with NodeCache(tmp_path).hold(file, lambda: iter([])) as (_, is_new):
            assert not is_new
            served.set()

    reader = threading.Thread(target=read)
    reader.start()
    with NodeCache(tmp_path).hold(file, slow) as (_, is_new):
        assert is_new and served.wait(scaled(20))
    reader.join()


def test_a_file_that_gets_its_name_while_room_is_made_counts(tmp_path, monkeypatch):
    """A list of a folder's files that is read during a rename may have neither name."""
    cache, listed, named = NodeCache(tmp_path, max_bytes=150, patience=scaled(20)), threading.Event(), threading.Event()

    def late():
        listed.wait()
        yield content_of(1)

    def other():
        with NodeCache(tmp_path).hold(file_of(content_of(1)), late):
            named.set()

    writer = threading.Thread(target=other)
    scandir = os.scandir

    def meanwhile(folder):
        with scandir(folder) as entries:
            found = list(entries)
        if threading.current_thread() is not writer and found:
            listed.set()
            named.wait(0.2)
        return contextlib.nullcontext(found)

    writer.start()
    while cache.used_bytes() < 100:  # the writer has its space
        time.sleep(0.01)
    monkeypatch.setattr(node_cache.os, "scandir", meanwhile)
    assert hold(cache, content_of(2))[1]
    writer.join()
    assert cache.used_bytes() <= 150


def test_on_a_full_disk_older_files_make_room(tmp_path, monkeypatch):
    cache = NodeCache(tmp_path, max_bytes=10_000, patience=0.0)
    for number in (1, 2):
        hold(cache, content_of(number))
    allocate = os.posix_fallocate

    def full(descriptor, at, size):
        if len([name for name in names(cache) if not name.endswith(".part")]) > 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        allocate(descriptor, at, size)

    monkeypatch.setattr(node_cache.os, "posix_fallocate", full)
    assert hold(cache, content_of(3))[1] and names(cache) == [file_of(content_of(3)).sha256]
    with (
        cache.hold(file_of(content_of(3)), lambda: iter([])),
        pytest.raises(UserError, match="no room for the 100 bytes"),
    ):
        hold(cache, content_of(4))


def test_without_a_limit_a_twentieth_of_the_disk_stays_free(tmp_path, monkeypatch):
    cache = NodeCache(tmp_path, patience=0.0)
    disk = type("Disk", (), {"total": 2000, "free": 250})()
    monkeypatch.setattr(node_cache.shutil, "disk_usage", lambda folder: disk)
    assert hold(cache, content_of(1, 150))[1]
    disk.free = 100
    assert hold(cache, content_of(2, 150))[1] and names(cache) == [file_of(content_of(2, 150)).sha256]


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"the cache .*file/cache cannot be created"):
        NodeCache(tmp_path / "file" / "cache")
