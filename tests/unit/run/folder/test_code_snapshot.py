"""A copy of the code, whole or absent, that says where it came from."""

import json
import subprocess
import sys

import pytest

from ltrec.run.folder.code_snapshot import is_editable, snapshot
from ltrec.tracking.git_state import git_state


@pytest.fixture
def package(tmp_path):
    folder = tmp_path / "checkout" / "ltrec"
    (folder / "deep" / "__pycache__").mkdir(parents=True)
    (folder / "__init__.py").write_text("__version__ = '1'\n")
    (folder / "deep" / "page.html.j2").write_text("<p>\n")
    (folder / "deep" / "__pycache__" / "x.pyc").write_bytes(b"x")
    return folder


def git(folder, *words):
    who = ["-c", "user.name=n", "-c", "user.email=e@example.org", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", "-C", folder, *who, *words], check=True, capture_output=True)


def test_the_copy_has_all_files_and_no_bytecode(package, tmp_path):
    kept = snapshot(tmp_path / "code", package)
    assert sorted(str(p.relative_to(kept)) for p in kept.rglob("*") if p.is_file()) == [
        "ltrec/__init__.py",
        "ltrec/deep/page.html.j2",
    ]
    assert snapshot(tmp_path / "code", package) == kept, "the same code is kept once"
    (package / "__init__.py").write_text("__version__ = '2'\n")
    assert snapshot(tmp_path / "code", package) != kept
    assert (kept / "ltrec" / "__init__.py").read_text() == "__version__ = '1'\n"


def test_the_copy_remembers_its_commit(package, tmp_path):
    git(package.parent, "init", "-q")
    git(package.parent, "add", ".")
    git(package.parent, "commit", "-qm", "first")
    commit = git_state(package)["commit"]
    (package / "__init__.py").write_text("__version__ = '2'\n")
    kept = snapshot(tmp_path / "code", package)
    git(package.parent, "commit", "-qam", "second")
    assert json.loads((kept / "commit.json").read_text()) == {"commit": commit, "dirty": True}
    assert git_state(kept / "ltrec") == {"commit": commit, "dirty": True}, "what runs is what was copied"


def test_a_copy_that_failed_leaves_nothing(package, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("ltrec.run.folder.code_snapshot.shutil.copyfile", full)
    with pytest.raises(OSError, match="No space left"):
        snapshot(tmp_path / "code", package)
    assert list((tmp_path / "code").iterdir()) == []


def test_an_installed_package_is_not_copied(package, tmp_path):
    assert is_editable(package)
    assert not is_editable(tmp_path / "lib/python3.12/site-packages/ltrec")


def test_the_copy_runs_from_a_folder_that_holds_another_ltrec(tmp_path):
    """As the job script sets it up: the checkout it was submitted from must not come first."""
    kept = snapshot(tmp_path / "code")
    (tmp_path / "ltrec").mkdir()
    (tmp_path / "ltrec" / "__init__.py").write_text("raise SystemExit('the wrong one')\n")
    where = [sys.executable, "-c", "import ltrec; print(ltrec.__file__)"]
    variables = {"PYTHONPATH": str(kept), "PYTHONSAFEPATH": "1", "PATH": ""}
    done = subprocess.run(where, cwd=tmp_path, env=variables, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(kept / "ltrec" / "__init__.py")
