"""A name that always leads to a whole folder, whatever kills the writer and whenever."""

import os
import shutil

import pytest

from ltrec.core.slots import commit_slot, open_slot, remove_slots


class Killed(BaseException):
    """What nothing catches."""


def write(link, text):
    slot = open_slot(link)
    (slot / "deep").mkdir()
    (slot / "deep" / "value").write_text(text)
    (slot / "first").write_text(text)
    commit_slot(link, slot)


def value(link):
    """What the link leads to; both files agree, or it is not whole."""
    deep, first = (link / "deep" / "value").read_text(), (link / "first").read_text()
    assert deep == first
    return first


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_the_last_commit_is_found_and_nothing_else_stays(tmp_path):
    link = tmp_path / "last.ckpt"
    for number in range(4):
        write(link, str(number))
        assert value(link) == str(number)
        assert names(tmp_path) == ["last.ckpt", "last.ckpt." + "ab"[number % 2]]


def test_a_folder_may_be_moved_with_its_link(tmp_path):
    (tmp_path / "here").mkdir()
    write(tmp_path / "here" / "last.ckpt", "x")
    (tmp_path / "here").rename(tmp_path / "there")
    assert value(tmp_path / "there" / "last.ckpt") == "x"


def test_a_file_gives_way_to_a_link(tmp_path):
    link = tmp_path / "last.ckpt"
    link.write_text("an ordinary checkpoint")
    write(link, "new")
    assert value(link) == "new"


def test_everything_can_be_removed(tmp_path):
    link = tmp_path / "last.ckpt"
    remove_slots(link)
    write(link, "x")
    open_slot(link)
    remove_slots(link)
    assert names(tmp_path) == []


CALLS = [(os, "replace"), (os, "fsync"), (os, "symlink"), (shutil, "rmtree"), (os, "mkdir")]


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
def test_killed_at_any_moment_the_old_or_the_new_is_there(tmp_path, monkeypatch, after):
    finished = 0
    for number in range(1, 40):
        link = tmp_path / str(number) / "last.ckpt"
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
        assert value(link) in ("old", "new")
        write(link, "next")
        assert value(link) == "next"
        assert [name for name in names(link.parent) if not name.endswith(".tmp")] in (
            ["last.ckpt", "last.ckpt.a"],
            ["last.ckpt", "last.ckpt.b"],
        )
    assert 20 < finished < 38, "some calls were hit, and all of them"
