"""Files that are whole or absent, and what is never replaced by one."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

import pytest

from ltrec.core.errors import UserError
from ltrec.core.storage.atomic import atomic_path, atomic_write_text, refuse_special


@pytest.fixture
def umask():
    """A mask that nobody has by accident."""
    before = os.umask(0o027)
    yield
    os.umask(before)


@pytest.mark.usefixtures("umask")
def test_a_file_has_the_mode_that_the_user_wants(tmp_path: Path) -> None:
    atomic_write_text(tmp_path / "new" / "x", "1")
    assert stat.S_IMODE((tmp_path / "new" / "x").stat().st_mode) == 0o640
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o750
    atomic_write_text(tmp_path / "secret", "1", mode=0o600)
    assert stat.S_IMODE((tmp_path / "secret").stat().st_mode) == 0o600


@pytest.mark.parametrize("exists", [True, False])
def test_a_link_is_followed_and_stays(tmp_path: Path, exists: bool) -> None:
    link, target = tmp_path / "link", tmp_path / "elsewhere" / "x"
    target.parent.mkdir()
    if exists:
        target.write_text("old")
    link.symlink_to(Path("elsewhere/x"))
    atomic_write_text(link, "new")
    assert link.is_symlink() and target.read_text() == "new" and not target.is_symlink()
    assert [p.name for p in target.parent.iterdir()] == ["x"]


def test_what_is_no_file_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "device").symlink_to("/dev/null")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
        for name, kind in {"folder": "a folder", "pipe": "a pipe", "device": "a device", "socket": "a socket"}.items():
            with pytest.raises(UserError, match=f"{name} is {kind}, which will not be replaced; name a file"):
                atomic_write_text(tmp_path / name, "x")
            with pytest.raises(UserError, match=f"conf is {kind}, not a file"):
                refuse_special(tmp_path / name, "conf")
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


def test_a_link_to_itself_is_the_systems_to_refuse(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for touch in (lambda p: atomic_write_text(p, "x"), refuse_special):
        with pytest.raises(OSError, match="symbolic links"):
            touch(tmp_path / "loop")


def test_the_longest_name_that_the_system_allows_can_be_written(tmp_path: Path) -> None:
    name = "é" * 127  # 254 bytes
    atomic_write_text(tmp_path / name, "x")
    assert [p.name for p in tmp_path.iterdir()] == [name]


def test_a_writer_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    atomic_write_text(tmp_path / "x", "old")
    with pytest.raises(ZeroDivisionError), atomic_path(tmp_path / "x") as temporary:
        temporary.write_text("half")
        raise ZeroDivisionError
    assert [p.read_text() for p in tmp_path.iterdir()] == ["old"]
