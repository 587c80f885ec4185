"""A name that always leads to a whole folder, whatever kills the writer and whenever."""

import errno
import os
import shutil

import pytest

from ltrec.core.storage.versions import commit_version, go_back, keep_before, open_version, remove_versions


class Killed(BaseException):
    """What nothing catches."""


def refuse_links(*_, **__):
    raise PermissionError(errno.EPERM, "no hard links here")


def write(link, text):
    version = open_version(link)
    (version / "deep").mkdir()
    (version / "deep" / "value").write_text(text)
    (version / "first").write_text(text)
    commit_version(link, version)


def value(link):
    """What the link leads to; both files agree, or it is not whole."""
    deep, first = (link / "deep" / "value").read_text(), (link / "first").read_text()
    assert deep == first
    return first


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_the_last_commit_is_found_and_nothing_else_stays(tmp_path):
    link = tmp_path / "best.ckpt"
    for number in range(4):
        write(link, str(number))
        assert value(link) == str(number)
        assert names(tmp_path) == ["best.ckpt", "best.ckpt." + "ab"[number % 2]]


def test_the_one_before_last_is_kept_and_no_more(tmp_path):
    last, previous = tmp_path / "last.ckpt", tmp_path / "previous.ckpt"
    write(last, "0")
    assert not previous.exists()
    for number in range(1, 6):
        write(last, str(number))
        assert (value(last), value(previous)) == (str(number), str(number - 1))
        assert len(names(tmp_path)) == 4


def test_who_goes_back_goes_on_from_there_and_what_was_last_takes_nobodys_place(tmp_path):
    last, previous, aside = (tmp_path / f"{name}.ckpt" for name in ("last", "previous", "aside"))
    write(last, "good")
    write(last, "bad")
    for number in range(3):
        go_back(last, previous)
        assert (value(last), value(previous), value(aside)) == ("good", "good", "bad")
        write(last, f"new {number}")
        assert (value(last), value(previous), value(aside)) == (f"new {number}", "good", "bad")
        write(last, "good")
        write(last, "bad")
    last.unlink()
    go_back(last, previous)
    assert (value(last), value(previous)) == ("good", "good")


def test_who_goes_back_to_the_best_has_nothing_of_what_came_after(tmp_path):
    last, best = tmp_path / "last.ckpt", tmp_path / "best.ckpt"
    for text in ("1", "2", "3"):
        write(last, text)
    write(best, "1")
    go_back(last, best)
    assert value(last) == "1" and not (tmp_path / "previous.ckpt").exists()
    for text in ("2", "3"):
        write(last, text)
        write(best, text)
    assert [value(tmp_path / f"{name}.ckpt") for name in ("last", "previous", "best")] == ["3", "2", "3"]


@pytest.mark.parametrize("linked", [True, False])
def test_files_go_back_as_well(tmp_path, monkeypatch, linked):
    if not linked:
        monkeypatch.setattr(os, "link", refuse_links)
    last, previous, aside = (tmp_path / f"{name}.ckpt" for name in ("last", "previous", "aside"))
    write(aside, "a folder of before")
    last.write_text("bad")
    previous.write_text("good")
    go_back(last, previous)
    assert [path.read_text() for path in (last, previous, aside)] == ["good", "good", "bad"]


def test_a_copy_with_folders_for_links_is_gone_on_with(tmp_path):
    """`scp -r` and `cp -rL` follow links."""
    write(tmp_path / "a" / "last.ckpt", "0")
    write(tmp_path / "a" / "last.ckpt", "1")
    write(tmp_path / "a" / "best.ckpt", "1")
    shutil.copytree(tmp_path / "a", tmp_path / "b", ignore=lambda _, names: [n for n in names if n[-2] == "."])
    last, previous, best = (tmp_path / "b" / f"{name}.ckpt" for name in ("last", "previous", "best"))
    assert not last.is_symlink() and value(last) == "1" and value(previous) == "0"
    write(last, "2")
    write(best, "2")
    assert (value(last), value(previous), value(best)) == ("2", "1", "2")
    write(last, "3")
    assert (value(last), value(previous)) == ("3", "2") and len(names(last.parent)) == 6


def test_a_disk_without_hard_links_keeps_the_one_before_too(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "link", refuse_links)
    last = tmp_path / "last.ckpt"
    for text in "01":
        keep_before(last)
        last.write_text(text)
    assert (tmp_path / "previous.ckpt").read_text() == "0"


def test_a_folder_may_be_moved_with_its_link(tmp_path):
    (tmp_path / "here").mkdir()
    write(tmp_path / "here" / "last.ckpt", "x")
    (tmp_path / "here").rename(tmp_path / "there")
    assert value(tmp_path / "there" / "last.ckpt") == "x"


def test_a_file_gives_way_to_a_link(tmp_path):
    link = tmp_path / "last.ckpt"
    link.write_text("an ordinary checkpoint")
    write(link, "new")
    assert value(link) == "new" and (tmp_path / "previous.ckpt").read_text() == "an ordinary checkpoint"


def test_everything_can_be_removed(tmp_path):
    link = tmp_path / "last.ckpt"
    remove_versions(link)
    write(link, "x")
    open_version(link)
    remove_versions(link)
    assert names(tmp_path) == []


CALLS = [(os, "replace"), (os, "fsync"), (os, "symlink"), (os, "link"), (shutil, "rmtree"), (os, "mkdir")]


def kill_at(monkeypatch, number, *, after):
    """Die before or after the n-th call that changes the disk."""
    done = [0]

    def guarded(call):
        def stand_in(*args, **kwargs):
            done[0] += 1
            if done[0] == number and not after:
                raise Killed
            result = call(*args, **kwargs)
            if done[0] == number:
                raise Killed
            return result

        return stand_in

    for module, name in CALLS:
        monkeypatch.setattr(module, name, guarded(getattr(module, name)))


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("name", ["best", "last"])
def test_killed_at_any_moment_the_old_or_the_new_is_there(tmp_path, monkeypatch, after, name):
    finished = 0
    for number in range(1, 40):
        link, previous = tmp_path / str(number) / f"{name}.ckpt", tmp_path / str(number) / "previous.ckpt"
        link.parent.mkdir()
        write(link, "older")
        write(link, "old")
        with monkeypatch.context() as patch:
            kill_at(patch, number, after=after)
            try:
                write(link, "new")
            except Killed:
                pass
            else:
                finished += 1
        there = value(link)
        assert there in ("old", "new")
        assert name == "best" or value(previous) in ("older", "old")
        write(link, "next")
        assert value(link) == "next" and (name == "best" or value(previous) == there)
        kept = [path for path in names(link.parent) if not path.endswith(".tmp")]
        assert len([path for path in kept if path[-2] == "."]) == len([path for path in kept if path.endswith(".ckpt")])
    assert 20 < finished < 38, "some calls were hit, and all of them"
