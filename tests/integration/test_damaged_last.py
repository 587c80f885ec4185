"""A damaged last checkpoint: the run resumes from the one before it, with a note, and ends bit for bit like an undisturbed one."""

import json
import os
import re
import shutil
import zipfile
from pathlib import Path

import pytest
import torch

import ltrec.run.build.loggers as run_loggers
import ltrec.run.train as training
from ltrec.config.load import load
from ltrec.core.errors import UserError
from ltrec.core.storage.run_folder import RunFolder
from ltrec.reporting.html import write_report
from ltrec.run.folder.config_file import read_config
from ltrec.run.folder.provenance_file import read_provenance
from tests.support.killed_run import train_killed
from tests.support.tiny_run import checkpoint, refuse_differences, same, tiny_config

KILLED_AT = 7  # of 12 steps; every step is saved


@pytest.fixture(scope="module")
def killed(data, tmp_path_factory):
    out = tmp_path_factory.mktemp("killed")
    train_killed(tiny_config(data, out), KILLED_AT)
    return out


@pytest.fixture
def run(killed, tmp_path):
    """A copy of the killed run, in tmp_path/r."""
    shutil.copytree(killed / "r", tmp_path / "r")
    return tmp_path / "r"


def truncate(path):
    path.write_bytes(path.read_bytes()[:-100])


def halve(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def empty(path):
    path.write_bytes(b"")


def be_text(path):
    path.write_text("a letter\n")


def be_another_zip(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("word/document.xml", "<letter/>")


def be_weights_alone(path):
    torch.save(torch.load(path, weights_only=True)["state_dict"], path)


def be_a_list(path):
    torch.save([1, 2], path)


def lose_a_part(path):
    state = torch.load(path, weights_only=True)
    del state["optimizer_states"]
    torch.save(state, path)


def be_a_folder(path):
    path.unlink()
    path.mkdir()


def vanish(path):
    path.unlink()


DAMAGES = {
    truncate: r"is damaged or no checkpoint \(BadZipFile\)",
    halve: r"is damaged or no checkpoint \(BadZipFile\)",
    flip: r"is damaged or no checkpoint \(BadZipFile\)",
    empty: r"is damaged or no checkpoint \(BadZipFile\)",
    be_text: r"is damaged or no checkpoint \(BadZipFile\)",
    be_another_zip: r"is damaged or no checkpoint \(RuntimeError\)",
    be_weights_alone: r"was not written by 'ltrec train' \(state_dict is missing\)",
    be_a_list: r"is not a checkpoint: it holds a list",
    lose_a_part: r"was not written by 'ltrec train' \(optimizer_states is missing\)",
    be_a_folder: r"not found",
    vanish: r"not found",
}


@pytest.mark.parametrize(("spoil", "why"), DAMAGES.items(), ids=lambda value: getattr(value, "__name__", ""))
def test_previous_is_resumed_exactly_with_a_note(data, undisturbed, run, capsys, spoil, why):
    spoil(run / "checkpoints" / "last.ckpt")
    capsys.readouterr()
    training.train(tiny_config(data, run.parent))
    said = [line for line in capsys.readouterr().err.splitlines() if "resuming from the one before it" in line]
    assert len(said) == 1 and said[0].endswith(f"resuming from the one before it, previous.ckpt, step {KILLED_AT - 1}")
    assert re.search(why, said[0])
    refuse_differences(run, undisturbed)
    assert (checkpoint(run, "previous")["global_step"], checkpoint(run)["global_step"]) == (11, 12)


def test_killed_again_before_the_next_save_it_resumes_as_well(data, undisturbed, run, capsys):
    truncate(run / "checkpoints" / "last.ckpt")
    train_killed(tiny_config(data, run.parent), KILLED_AT, first=True)
    assert (run / "checkpoints" / "aside.ckpt").exists()
    assert [checkpoint(run, name)["global_step"] for name in ("last", "previous")] == [KILLED_AT - 1] * 2
    training.train(tiny_config(data, run.parent))
    assert capsys.readouterr().err.count("resuming from the one before it") == 1
    refuse_differences(run, undisturbed)


@pytest.mark.parametrize("damage", [truncate, flip, be_weights_alone, vanish])
def test_when_both_are_damaged_the_advice_of_the_line_works(data, run, damage):
    last, previous = (run / "checkpoints" / f"{name}.ckpt" for name in ("last", "previous"))
    halve(last)
    damage(previous)
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    with pytest.raises(UserError) as caught:
        training.train(tiny_config(data, run.parent))
    said = str(caught.value)
    assert said.startswith(f"{last} is damaged or no checkpoint (BadZipFile)") and "\n" not in said
    assert damage is vanish or "and so is the one before it: previous.ckpt " in said
    best = run / "checkpoints" / "best.ckpt"
    assert said.endswith(f"go back to the best with resume={best}, or start over under another name=...")
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before
    step = checkpoint(run, "best")["global_step"]
    training.train(tiny_config(data, run.parent, f"resume={best}"))
    assert checkpoint(run)["global_step"] == 12 > step


def test_a_named_checkpoint_is_not_replaced(data, run, tmp_path):
    best = run / "checkpoints" / "best.ckpt"
    truncate(best)
    with pytest.raises(UserError, match=r"best\.ckpt is damaged"):
        training.train(tiny_config(data, run.parent, f"resume={best}"))


def test_going_back_to_the_best_removes_later_checkpoints(data, undisturbed, run, monkeypatch):
    """Killed right after: what is newest is of the new way, and so is the one before it. The path may be written in any way."""
    monkeypatch.chdir(run)
    best = Path("checkpoints/../checkpoints/best.ckpt")
    step = checkpoint(run, "best")["global_step"]
    train_killed(tiny_config(data, run.parent, f"resume={best}"), step + 1)
    assert [checkpoint(run, name)["global_step"] for name in ("last", "previous")] == [step + 1, step]
    training.train(tiny_config(data, run.parent))
    refuse_differences(run, undisturbed)


@pytest.mark.parametrize("spoil", [flip, empty, vanish, truncate, be_text])
def test_damaged_metrics_are_reported_and_only_stop_their_report(data, undisturbed, run, capsys, spoil):
    spoil(run / "metrics.jsonl")
    capsys.readouterr()
    training.train(tiny_config(data, run.parent))
    said = [line for line in capsys.readouterr().err.splitlines() if "metrics.jsonl is damaged: " in line]
    assert len(said) == 1 and said[0].endswith("; training continues, but a report will refuse the curves")
    mine, good = checkpoint(run), checkpoint(undisturbed)
    assert all(same(mine[key], good[key]) for key in ("state_dict", "optimizer_states", "callbacks", "StreamDataModule"))
    if spoil is flip:
        with pytest.raises(UserError, match=r"metrics\.jsonl line \d+ is damaged: it does not match its digest"):
            write_report([run])


@pytest.mark.parametrize("spoil", [flip, empty, vanish, be_text, truncate])
def test_a_damaged_provenance_is_written_again_with_the_same_identity(data, undisturbed, run, capsys, spoil):
    before = json.loads((run / "provenance.json").read_text())
    spoil(run / "provenance.json")
    capsys.readouterr()
    training.train(tiny_config(data, run.parent))
    said = capsys.readouterr().err
    refuse_differences(run, undisturbed)
    after = read_provenance(RunFolder(run))
    assert after["run_id"] == before["run_id"] and after["data"] == before["data"]
    told = f"{run}/provenance.json is damaged: "
    assert (spoil is vanish) is (told not in said)
    assert (run / "provenance.damaged.json").exists() is (spoil is not vanish)
    write_report([run])


@pytest.mark.parametrize("spoil", [flip, empty, be_text, truncate])
def test_a_report_leaves_out_a_damaged_provenance_and_says_so(undisturbed, tmp_path, spoil):
    shutil.copytree(undisturbed, tmp_path / "r")
    spoil(tmp_path / "r" / "provenance.json")
    page = write_report([tmp_path / "r"]).read_text()
    assert "r&#39;s provenance.json is damaged (" in page and ") and left out." in page


def test_a_flipped_bit_of_the_config_is_found_by_every_command(data, run, capsys):
    """Here the rate becomes 0.003 in one bit: valid, and another run."""
    text = (run / "config.yaml").read_text()
    assert "lr: 0.001" in text
    (run / "config.yaml").write_text(text.replace("lr: 0.001", "lr: 0.003"))
    line = r"config\.yaml is damaged, or was changed since ltrec wrote it"
    with pytest.raises(UserError, match=line):
        read_config(RunFolder(run))
    with pytest.raises(UserError, match=line):
        load([run / "config.yaml"], ["name=again"])
    with pytest.raises(UserError, match=line):
        training.train(tiny_config(data, run.parent))
    with pytest.raises(UserError, match=r"config\.yaml is damaged: it does not match its digest"):
        write_report([run])


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b'{"sasrec": 3}', b"\xff"])
def test_damaged_test_metrics_are_left_out_with_a_note(tmp_path, capsys, content):
    (tmp_path / "test.json").write_bytes(content)
    assert run_loggers.test_metrics(tmp_path / "test.json", "sasrec") == {}
    assert f"{tmp_path}/test.json is damaged (" in capsys.readouterr().err


def test_metrics_are_fsynced_before_their_checkpoint(data, tmp_path, monkeypatch):
    """Each time a checkpoint comes to its place, metrics.jsonl has been flushed since its last line."""
    flushed, sync, replace = [0], os.fsync, os.replace
    metrics = tmp_path / "r" / "metrics.jsonl"

    def note(descriptor):
        sync(descriptor)
        if metrics.exists() and os.path.samestat(os.fstat(descriptor), metrics.stat()):
            flushed[0] = metrics.stat().st_size

    def check(source, target):
        if str(target).endswith("last.ckpt") and metrics.exists():
            assert flushed[0] == metrics.stat().st_size
        replace(source, target)

    monkeypatch.setattr(os, "fsync", note)
    monkeypatch.setattr(os, "replace", check)
    training.train(tiny_config(data, tmp_path, "trainer.max_epochs=1", "trainer.log_every_steps=1"))
    assert flushed[0] > 0


def test_a_checkpoint_of_another_run_is_refused(data, run, tmp_path):
    """Whole, of the same data and the same model: only what it remembers of its run tells."""
    other = training.train(tiny_config(data, tmp_path / "other", "optim.lr=0.5", "trainer.max_epochs=1"))
    shutil.copy(other.checkpoints / "last.ckpt", run / "checkpoints" / "last.ckpt")
    with pytest.raises(UserError, match=r"last\.ckpt was trained with optim\.lr=0\.5 and the run's config says 0\.001"):
        training.train(tiny_config(data, run.parent))
