"""Mirrors in turn, hashes, cache: no network; archives are local files, pip is a script."""

import hashlib
import sys
import zipfile

import pytest

from ltrec.data.fetch.cache import Cache
from ltrec.data.fetch.mirrors import HttpArchive, Member, MirrorError, PipWheel, obtain

CONTENT = b"1\t10\t5\t100\n2\t20\t3\t100\n"
OTHER = b"1\t10\t5\t100\n2\t21\t3\t100\n"


def member(content=CONTENT, path="d/u.data"):
    return Member(path, len(content), hashlib.sha256(content).hexdigest())


def archive(path, content=CONTENT, name="d/u.data"):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as z:
        z.writestr(name, content)
    return path


def http(path, **changes):
    return HttpArchive(path.as_uri(), (member(**changes),))


def fake_pip(tmp_path, body):
    """A pip that runs `body` with `target` bound to the folder after -d and `arguments` to all arguments."""
    script = tmp_path / "fake_pip.py"
    script.write_text(
        f"import sys, pathlib\narguments = sys.argv[1:]\ntarget = pathlib.Path(arguments[arguments.index('-d') + 1])\n{body}\n"
    )
    return PipWheel("recbole==1.2.1", (member(),), pip=(sys.executable, str(script)))


@pytest.fixture
def notes():
    return []


@pytest.fixture
def cache(tmp_path, notes):
    return Cache(tmp_path / "cache", notes.append)


def silent(*_):
    pass


def test_the_first_mirror_answers_and_progress_is_reported(tmp_path, cache, notes):
    mirror = http(archive(tmp_path / "a.zip"))
    heard = []
    assert obtain([mirror], cache, lambda *report: heard.append(report)) == (mirror, (CONTENT,))
    size = (tmp_path / "a.zip").stat().st_size
    assert heard[0] == (mirror.name, 0, size)
    assert heard[-1] == (mirror.name, size, size)
    assert notes == []


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda p: p.unlink(), "No such file"),
        (lambda p: p.write_bytes(b"<html>log in to the hotel's network</html>"), "archive is damaged"),
        (lambda p: p.write_bytes(p.read_bytes()[:40]), "archive is damaged"),
        (lambda p: archive(p, OTHER), "wrong hash"),
        (lambda p: archive(p, CONTENT + b"x"), "wrong hash"),
        (lambda p: archive(p, b"0" * (1 << 24)), "wrong hash"),
        (lambda p: archive(p, name="elsewhere"), "has no d/u.data"),
    ],
    ids=["absent", "a login page", "truncated", "other bytes", "longer", "a bomb", "another archive"],
)
def test_a_bad_mirror_means_the_next_one(tmp_path, cache, notes, damage, reason):
    bad, good = http(archive(tmp_path / "bad.zip")), http(archive(tmp_path / "good.zip"))
    damage(tmp_path / "bad.zip")
    assert obtain([bad, good], cache, silent) == (good, (CONTENT,))
    assert len(notes) == 1
    assert bad.name in notes[0]
    assert reason in notes[0]


def test_a_flipped_byte_anywhere_in_the_archive_never_passes(tmp_path, cache):
    """Either the archive is refused or the member is right all the same (a byte of the archive's own bookkeeping)."""
    whole = archive(tmp_path / "a.zip").read_bytes()
    refused = 0
    for at in range(len(whole)):
        (tmp_path / "b.zip").write_bytes(whole[:at] + bytes([whole[at] ^ 0x10]) + whole[at + 1 :])
        fresh = Cache(tmp_path / f"cache{at}", silent)
        try:
            assert obtain([http(tmp_path / "b.zip")], fresh, silent)[1] == (CONTENT,)
        except MirrorError:
            refused += 1
    assert refused > len(CONTENT)


def test_if_no_mirror_answers_every_reason_is_given(tmp_path, cache):
    absent = http(tmp_path / "absent.zip")
    pip = fake_pip(tmp_path, "sys.stderr.write('WARNING: slow\\nERROR: No matching distribution\\n'); sys.exit(1)")
    with pytest.raises(MirrorError) as caught:
        obtain([absent, pip], cache, silent)
    text = str(caught.value)
    assert absent.name in text
    assert "pip wheel recbole==1.2.1: No matching distribution" in text
    assert not (tmp_path / "cache").exists()


def test_pip_is_asked_for_one_wheel_and_nothing_is_installed(tmp_path, cache):
    body = f"""
(pathlib.Path({str(tmp_path)!r}) / "arguments").write_text(" ".join(arguments[:-1]))
import zipfile
with zipfile.ZipFile(target / "recbole-1.2.1-py3-none-any.whl", "w") as z:
    z.writestr("d/u.data", {CONTENT!r})"""
    pip = fake_pip(tmp_path, body)
    assert obtain([pip], cache, silent) == (pip, (CONTENT,))
    arguments = (tmp_path / "arguments").read_text().split()
    assert arguments[0] == "download"
    assert {"--no-deps", "--only-binary=:all:", "--no-input", "recbole==1.2.1"} <= set(arguments)
    assert not any("index" in a or "://" in a for a in arguments), "the user's own pip configuration decides where from"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("pass", "pip ended with code 0 and 0 wheels"),
        ("sys.exit(3)", "pip ended with code 3"),
        ("sys.stderr.write('No module named pip'); sys.exit(1)", "No module named pip"),
        ("(target / 'a.whl').write_bytes(b''); (target / 'b.whl').write_bytes(b'')", "2 wheels"),
        ("import time; time.sleep(60)", "timed out"),
    ],
)
def test_a_failing_pip_is_a_failing_mirror(tmp_path, cache, body, reason):
    pip = fake_pip(tmp_path, body)
    impatient = PipWheel(pip.requirement, pip.members, pip.pip, timeout_s=1.0 if "sleep" in body else 60.0)
    with pytest.raises(MirrorError, match=reason):
        obtain([impatient], cache, silent)


def test_no_pip_at_all(tmp_path, cache):
    with pytest.raises(MirrorError, match="No such file"):
        obtain([PipWheel("recbole==1.2.1", (member(),), pip=(str(tmp_path / "absent"),))], cache, silent)


def test_cached_member_of_any_mirror_comes_before_a_download(tmp_path, cache):
    second = http(archive(tmp_path / "second.zip"))
    obtain([second], cache, silent)
    (tmp_path / "second.zip").unlink()
    first = HttpArchive((tmp_path / "first.zip").as_uri(), (member(OTHER),))
    archive(tmp_path / "first.zip", OTHER)
    heard = []
    assert obtain([first, second], cache, lambda *report: heard.append(report)) == (second, (CONTENT,))
    assert heard == []


def test_cache_is_hashed_again_and_repaired(tmp_path, cache, notes):
    mirror = http(archive(tmp_path / "a.zip"))
    obtain([mirror], cache, silent)
    kept = cache.path(mirror.members[0].sha256)
    kept.write_bytes(OTHER)
    assert obtain([mirror], cache, silent) == (mirror, (CONTENT,))
    assert "damaged" in notes[0]
    assert kept.read_bytes() == CONTENT
    assert [p.name for p in kept.parent.iterdir()] == [mirror.members[0].sha256]


def test_a_cache_that_cannot_be_used_costs_only_a_note(tmp_path, notes):
    (tmp_path / "cache").write_text("a file where the folder should be")
    mirror = http(archive(tmp_path / "a.zip"))
    assert obtain([mirror], Cache(tmp_path / "cache", notes.append), silent) == (mirror, (CONTENT,))
    assert notes
    assert all("cache" in note for note in notes)


def test_several_members_come_from_one_mirror_and_all_must_be_right(tmp_path, cache, notes):
    """A mirror with one wrong file is passed over, for files of two places need not fit; the cache must hold them all."""

    def of(path, *contents):
        with zipfile.ZipFile(path, "w") as z:
            for name, content in zip(("d/u.data", "d/u.item"), contents, strict=True):
                z.writestr(name, content)
        return HttpArchive(path.as_uri(), (member(), member(OTHER, "d/u.item")))

    bad, good = of(tmp_path / "a.zip", CONTENT, CONTENT), of(tmp_path / "b.zip", CONTENT, OTHER)
    assert obtain([bad, good], cache, silent) == (good, (CONTENT, OTHER))
    assert "d/u.item has the wrong hash" in notes[0]
    cache.path(member(OTHER).sha256).unlink()
    (tmp_path / "b.zip").unlink()
    with pytest.raises(MirrorError):
        obtain([bad, good], cache, silent)
