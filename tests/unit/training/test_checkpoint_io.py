"""Checkpoints: whole or absent, never executed, every flipped bit of a value is found."""

import errno
import io
import os
import pickle
import random
import subprocess
import sys
import zipfile

import pytest
import torch

from ltrec.core.errors import UserError
from ltrec.training.checkpoints import atomic_io
from ltrec.training.checkpoints.atomic_io import AtomicCheckpointIO
from ltrec.training.checkpoints.io import read_checkpoint
from tests.support.commands import ROOT, environment, limited
from tests.support.tiny_run import same

STATE = {
    "state_dict": {"a": torch.arange(500.0), "b": torch.tensor([1], dtype=torch.int64)},
    "epoch": 3,
    "best": {"x": [None, 2.5]},
}


def save(path, state=STATE):
    AtomicCheckpointIO().save_checkpoint(state, path)
    return path


@pytest.fixture
def saved(tmp_path):
    return save(tmp_path / "checkpoints" / "last.ckpt")


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_what_was_saved_is_read(saved):
    assert same(read_checkpoint(saved), STATE)
    assert same(AtomicCheckpointIO().load_checkpoint(saved, weights_only=False), STATE)
    assert names(saved.parent) == ["last.ckpt"]
    AtomicCheckpointIO().remove_checkpoint(saved)
    AtomicCheckpointIO().remove_checkpoint(saved)
    assert names(saved.parent) == []


def test_a_missing_checkpoint_says_so(tmp_path):
    with pytest.raises(UserError, match=r"no\.ckpt not found"):
        read_checkpoint(tmp_path / "no.ckpt")


class Bomb:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return (os.mkdir, (str(self.mark),))


@pytest.mark.parametrize("form", ["zip", "legacy", "pickle"])
def test_a_bomb_is_refused_and_does_not_go_off(tmp_path, form):
    path, mark = tmp_path / "bomb.ckpt", tmp_path / "mark"
    if form == "pickle":
        path.write_bytes(pickle.dumps({"state_dict": Bomb(mark)}))
    else:
        torch.save({"state_dict": Bomb(mark)}, path, _use_new_zipfile_serialization=form == "zip")
    with pytest.raises(UserError, match=r"bomb\.ckpt is damaged or no checkpoint"):
        AtomicCheckpointIO().load_checkpoint(path, weights_only=False)
    assert not mark.exists()
    with open(path, "rb") as file:
        if form == "pickle":
            pickle.load(file)
            assert mark.exists(), "a bomb that cannot go off proves nothing"


def test_something_else_is_no_checkpoint(tmp_path):
    torch.save([1, 2], tmp_path / "list.ckpt")
    with pytest.raises(UserError, match="holds a list"):
        read_checkpoint(tmp_path / "list.ckpt")
    (tmp_path / "text.ckpt").write_text("hello")
    with pytest.raises(UserError, match="damaged or no checkpoint"):
        read_checkpoint(tmp_path / "text.ckpt")


def test_a_truncated_checkpoint_is_refused_wherever_it_ends(saved):
    whole = saved.read_bytes()
    for size in [*range(0, len(whole), 61), len(whole) - 1]:
        saved.write_bytes(whole[:size])
        with pytest.raises(UserError, match="damaged"):
            read_checkpoint(saved)


def test_a_flipped_bit_is_refused_or_harmless(saved):
    """Harmless: redundant fields of the archive. No value, name or type changes in silence, and no other error comes."""
    whole, draw, refused = saved.read_bytes(), random.Random(0), 0
    for place in range(0, len(whole), 3):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << draw.randrange(8)
        saved.write_bytes(damaged)
        try:
            assert same(read_checkpoint(saved), STATE), place
        except UserError:
            refused += 1
    assert refused > len(whole) / 3 * 0.6


class FullDisk(io.BytesIO):
    """A file on a disk with room for so many bytes."""

    def __init__(self, path, room):
        super().__init__()
        self.file, self.room = open(path, "wb"), room  # noqa: SIM115 - closed below

    def write(self, data):
        if self.file.tell() + len(data) > self.room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return self.file.write(data)

    def close(self):
        self.file.close()
        super().close()


@pytest.mark.parametrize("room", [0, 100, 1500, 2500])
def test_a_full_disk_leaves_the_old_checkpoint(saved, monkeypatch, room):
    before = saved.read_bytes()
    assert room < len(before)
    monkeypatch.setattr(atomic_io, "open", lambda path, mode: FullDisk(path, room), raising=False)
    with pytest.raises(OSError, match="No space left") as caught:
        save(saved, {**STATE, "epoch": 4})
    assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, str(saved))
    assert saved.read_bytes() == before
    assert names(saved.parent) == ["last.ckpt"]


def test_a_limit_of_the_system_leaves_the_old_checkpoint(saved):
    before = saved.read_bytes()
    code = (
        "import sys, torch; from pathlib import Path; from ltrec.training.checkpoints.atomic_io import AtomicCheckpointIO\n"
        "try: AtomicCheckpointIO().save_checkpoint({'a': torch.zeros(10**6)}, sys.argv[1])\n"
        "except OSError as error: print(error.strerror, error.filename)"
    )

    words = limited(10**6, sys.executable, "-c", code, saved)
    done = subprocess.run(words, cwd=ROOT, env=environment(), capture_output=True, text=True, check=True)
    assert done.stdout == f"File too large {saved}\n"
    assert saved.read_bytes() == before and names(saved.parent) == ["last.ckpt"]


def test_another_error_of_torch_stays_what_it_is(saved, monkeypatch):
    def fail(*_):
        raise RuntimeError("a bug")

    monkeypatch.setattr(torch, "save", fail)
    with pytest.raises(RuntimeError, match="a bug"):
        save(saved)
    assert same(read_checkpoint(saved), STATE)


@pytest.mark.parametrize("kind", ["compressed", "overlapping"])
def test_an_archive_that_unpacks_to_more_than_it_is_is_refused_unread(kind, tmp_path):
    """A thousand times its size would fill the memory of any machine."""
    path = tmp_path / "bomb.ckpt"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED if kind == "compressed" else zipfile.ZIP_STORED) as archive:
        archive.writestr("archive/data.pkl", b"\0" * 1_000_000)
        if kind == "overlapping":
            archive.filelist *= 1000  # the directory names the same bytes again and again
    assert path.stat().st_size < 1_100_000
    with pytest.raises(UserError, match=r"damaged or no checkpoint \(BadZipFile"):
        read_checkpoint(path)
