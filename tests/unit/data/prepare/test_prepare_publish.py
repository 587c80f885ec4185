"""A new data set takes the place of the old one in one step: stopped anywhere, the old one is whole or the new one is."""

from __future__ import annotations

import errno
import os
import shutil
import signal

import pytest

from ltrec.core.errors import UserError
from ltrec.data.manifest import MANIFEST, Manifest
from ltrec.data.prepare.output.workspace import publish, workspace
from ltrec.data.schema import WORK
from ltrec.data.verify.dataset import verify
from tests.support.logs import START, prepared, some_events

OPERATIONS = ("replace", "rename", "mkdir", "unlink", "rmdir", "fsync", "open")
MOST = 200


def content(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    """Two data sets with different shards, vocabularies, strata and rejects, and one file in common at most."""
    folder = tmp_path_factory.mktemp("sets")
    prepared(folder / "old", [*some_events(12), (None, "i", START)], reject_budget=0.5, strata=1)
    prepared(folder / "new", [*some_events(14), ("x", "y", "soon")], reject_budget=0.5, strata=2)
    return folder / "old" / "out", folder / "new" / "out"


def scene(folder, sets, before):
    """`out` with the old data set (or none, or one with a damaged manifest), and the new one finished in its work folder."""
    out = folder / "out"
    if before == "nothing":
        out.mkdir(parents=True)
    else:
        shutil.copytree(sets[0], out)
    if before == "damaged":
        (out / MANIFEST).write_text("{}")
    shutil.copytree(sets[1], out / WORK)
    manifest = Manifest.load(out / WORK)
    (out / WORK / MANIFEST).unlink()
    return out, manifest


def at_operation(number, act):
    """Replace every file operation of `os` by one that calls `act` in place of the `number`-th."""
    count = 0

    def counting(original):
        def operation(*args, **kwargs):
            nonlocal count
            count += 1
            if count == number:
                act()
            return original(*args, **kwargs)

        return operation

    return {name: counting(getattr(os, name)) for name in OPERATIONS}


def killed_at(number, out, manifest):
    """Publish in a child that is killed before its `number`-th file operation; whether it got that far."""
    child = os.fork()
    if child == 0:
        for name, operation in at_operation(number, lambda: os.kill(os.getpid(), signal.SIGKILL)).items():
            setattr(os, name, operation)
        publish(out / WORK, out, manifest)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)


def failing_at(number, out, manifest, monkeypatch):
    """Publish with a `number`-th file operation that fails; whether it was reached."""
    reached = []

    def fail():
        reached.append(1)
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        for name, operation in at_operation(number, fail).items():
            patch.setattr(os, name, operation)
        try:
            publish(out / WORK, out, manifest)
        except OSError:
            assert reached
    return bool(reached)


@pytest.mark.parametrize("before", ["old", "nothing", "damaged"])
@pytest.mark.parametrize("way", ["killed", "failing"])
def test_stopped_at_any_operation_one_data_set_is_complete(tmp_path, sets, before, way, monkeypatch):
    expected = [content(folder) for folder in sets]
    found = set()
    for number in range(1, MOST):
        out, manifest = scene(tmp_path / str(number), sets, before)
        stopped = killed_at(number, out, manifest) if way == "killed" else failing_at(number, out, manifest, monkeypatch)
        found.add(which(out, before, expected))
        with workspace(out):
            pass
        assert which(out, before, expected, swept=True) in ("old", "nothing", "damaged", "new")
        if not stopped:
            break
        shutil.rmtree(tmp_path / str(number))
    assert not stopped and number > 20
    assert found == {before, "new"}
    assert content(out) == expected[1]


def which(out, before, expected, swept=False):
    """The data set that a reader of `out` finds, whole; once swept, nothing else may lie there."""
    try:
        verify(out)
    except UserError as error:
        assert before != "old"
        assert ("is not a prepared data set" if before == "nothing" else "is damaged") in str(error)
        assert not swept or before == "damaged" or not out.exists() or content(out) == {}
        return before
    name = ["old", "new"][(out / MANIFEST).read_bytes() == expected[1][MANIFEST]]
    assert not swept or content(out) == expected[name == "new"]
    return name


def damage(out, kind):
    manifest = Manifest.load(out)
    path = out / {"shard": manifest.shards[0].path, "vocabulary": manifest.vocab.path}.get(kind.split()[0], MANIFEST)
    raw = path.read_bytes()
    if kind.endswith("missing"):
        path.unlink()
    elif kind.endswith("shorter"):
        path.write_bytes(raw[:-1])
    else:
        path.write_bytes(raw[: len(raw) // 2] + bytes([raw[len(raw) // 2] ^ 1]) + raw[len(raw) // 2 + 1 :])


@pytest.mark.parametrize("what", ["shard", "vocabulary"])
@pytest.mark.parametrize("how", ["missing", "shorter", "flipped"])
def test_the_same_command_repairs_damage(tmp_path, what, how):
    prepared(tmp_path)
    before = content(tmp_path / "out")
    damage(tmp_path / "out", f"{what} {how}")
    with pytest.raises(UserError, match="prepare the data again with --overwrite"):
        verify(tmp_path / "out")
    prepared(tmp_path)
    assert content(tmp_path / "out") == before


def test_a_damaged_manifest_says_how_to_repair_it(tmp_path):
    prepared(tmp_path)
    before = content(tmp_path / "out")
    damage(tmp_path / "out", "manifest flipped")
    for command in (prepared, lambda folder: verify(folder / "out")):
        with pytest.raises(UserError, match=r"manifest\.json is damaged: .*; prepare the data again with --overwrite"):
            command(tmp_path)
    prepared(tmp_path, overwrite=True)
    assert content(tmp_path / "out") == before


def test_a_superfluous_file_is_removed_by_the_same_command(tmp_path):
    manifest = prepared(tmp_path)
    before = content(tmp_path / "out")
    shutil.copy(tmp_path / "out" / manifest.shards[0].path, tmp_path / "out" / "stratum=0" / "part-99999-0.parquet")
    (tmp_path / "out" / "stratum=0" / "mine.txt").write_text("precious")
    prepared(tmp_path)
    assert content(tmp_path / "out") == {**before, "stratum=0/mine.txt": b"precious"}
