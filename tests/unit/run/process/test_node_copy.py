"""The copy of a data set on a node: the same bytes or none, ours alone, and gone at the end."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ltrec.cli.node_copy import main
from ltrec.core.errors import UserError
from ltrec.data.manifest import Manifest
from ltrec.run.build.components import open_data
from ltrec.run.node_copy import place as node_place
from ltrec.run.node_copy.copying import make_copy
from ltrec.run.node_copy.place import place_of, remove
from tests.support.commands import environment
from tests.support.tiny_run import tiny_config, tiny_data


@pytest.fixture
def data(tmp_path):
    return tiny_data(tmp_path / "data")


@pytest.fixture
def node(tmp_path, monkeypatch):
    """The place of a job on a node."""
    (tmp_path / "disk").mkdir()
    for name, value in (("LTREC_STAGE", "$MY_DISK"), ("MY_DISK", str(tmp_path / "disk")), ("SLURM_JOB_ID", "7")):
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("SLURMD_NODENAME", "n1")
    return tmp_path / "disk" / "ltrec-7-n1"


def around(program):
    return [sys.executable, "-m", "ltrec.run.node_copy.place", "around", sys.executable, "-S", "-c", program]


def files(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_copy_is_the_data(data, node):
    copy, copied = make_copy(data, node)
    assert copied > 0 and files(copy) == files(data) and copy.name == Manifest.load(data).digest[:16]
    assert node.stat().st_mode & 0o777 == 0o700


def test_intact_files_are_kept_and_others_copied_again(data, node):
    copy, _ = make_copy(data, node)
    assert make_copy(data, node)[1] == 0
    [first, *_] = sorted(copy.rglob("*.parquet"))
    whole = first.read_bytes()
    for damaged in (whole[:-1], bytes([whole[0] ^ 1]) + whole[1:]):
        first.write_bytes(damaged)
        assert make_copy(data, node)[1] == len(whole) and first.read_bytes() == whole


def test_damaged_data_leave_no_copy(data, node):
    [shard, *_] = sorted(data.rglob("stratum=*/*.parquet"))
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(content)
    with pytest.raises(UserError, match=r"is damaged: it is not what the manifest says"):
        make_copy(data, node)
    assert not list(node.rglob("manifest.json")) and not list(node.rglob(f"*{shard.name}*"))
    shard.unlink()
    with pytest.raises(UserError, match="is missing"):
        make_copy(data, node)


def test_a_full_disk_is_reported_before_anything_is_copied(data, node, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 10}))
    with pytest.raises(UserError, match="its disk has 10 left"):
        make_copy(data, node)
    assert not [path for path in node.rglob("*") if path.is_file()]


def test_a_folder_of_another_user_is_refused(data, node, monkeypatch):
    node.symlink_to(data)
    with pytest.raises(UserError, match="exists already and belongs to another user"):
        make_copy(data, node)
    remove(node)
    assert node.is_symlink() and data.exists()
    node.unlink()
    node.mkdir()
    monkeypatch.setattr(os, "geteuid", lambda: 4711)
    with pytest.raises(UserError, match="belongs to another user"):
        make_copy(data, node)


def test_training_reads_the_copy_and_no_other_data(data, node, tmp_path):
    with pytest.raises(UserError, match=r"manifest.json not found"):
        open_data(tiny_config(data, tmp_path))
    copy, _ = make_copy(data, node)
    assert open_data(tiny_config(data, tmp_path)).folder == copy
    other = tiny_data(tmp_path / "other", seed=1)
    with pytest.raises(UserError, match="not found"):
        open_data(tiny_config(other, tmp_path))
    (copy / "manifest.json").write_bytes((other / "manifest.json").read_bytes())
    with pytest.raises(UserError, match="is a copy of other data"):
        open_data(tiny_config(data, tmp_path))


def test_without_a_copy_training_reads_data_path(data, tmp_path, monkeypatch):
    monkeypatch.delenv("LTREC_STAGE", raising=False)
    assert open_data(tiny_config(data, tmp_path)).folder == data


@pytest.mark.parametrize(
    ("stage", "variables", "place"),
    [
        ("/disk", {"SLURM_JOB_ID": "3", "SLURMD_NODENAME": "n"}, "/disk/ltrec-3-n"),
        ("$D", {"D": "/local/3", "SLURM_JOB_ID": "3", "SLURMD_NODENAME": "n"}, "/local/3/ltrec-3-n"),
    ],
)
def test_each_job_has_its_own_folder(stage, variables, place):
    assert place_of({"LTREC_STAGE": stage, **variables}) == Path(place)
    assert place_of(variables) is None


@pytest.mark.parametrize(
    ("variables", "told"), [({}, "it is not set"), ({"D": "here"}, "it is here, which is not an absolute path")]
)
def test_a_variable_without_a_folder_is_refused(variables, told):
    with pytest.raises(UserError, match=f"--stage \\$D: on .* {told}"):
        place_of({"LTREC_STAGE": "$D", **variables})


def test_the_command_prints_its_result_or_error(data, node, tmp_path, capsys):
    config = tmp_path / "config.yaml"
    config.write_text(f"data: {{path: '{data}'}}\n")
    assert main([str(config)]) == 0 and f"{data} -> {node}" in capsys.readouterr().err.replace("\n", "")
    config.write_text("data: {path: nowhere}\n")
    assert main([str(config)]) == 2 and "error: nowhere/manifest.json not found" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("program", "code"), [("", 0), ("import sys; sys.exit(3)", 3), ("import os; os.kill(os.getpid(), 9)", 137)]
)
def test_the_copy_is_removed_however_the_command_ends(data, node, program, code):
    make_copy(data, node)
    assert subprocess.call(around(program), env=environment(LTREC_STAGE="$MY_DISK")) == code and not node.exists()


def test_without_a_copy_only_the_command_runs():
    assert subprocess.call(around("import sys; sys.exit(4)"), env=environment()) == 4


def test_on_a_signal_it_waits_for_the_command(data, node):
    make_copy(data, node)
    program = "import signal, sys; signal.signal(15, lambda *_: sys.exit(143)); print(1, flush=True); signal.pause()"
    variables = environment(LTREC_STAGE="$MY_DISK")
    process = subprocess.Popen(around(program), env=variables, stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert process.stdout.readline() == "1\n" and node.exists()
    os.killpg(process.pid, 15)
    assert process.wait(60) == 143 and not node.exists()
    process.stdout.close()


def test_one_of_several_tasks_removes_the_copy(data, node):
    make_copy(data, node)
    assert subprocess.call(around(""), env=environment(LTREC_STAGE="$MY_DISK", SLURM_LOCALID="1")) == 0 and node.exists()
    assert node_place.main(["remove"]) == 0 and not node.exists()
