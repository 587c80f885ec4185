"""What a user can get wrong in train, evaluate, predict and report: one line, exit code 2, and nothing changed on disk."""

import shutil
from pathlib import Path

import pytest
import torch

from ltrec.cli.main import main
from ltrec.core.storage.seal import sealed_text, unsealed_text
from tests.support.commands import ltrec
from tests.support.slurm_cluster import free_ports
from tests.support.tiny_run import checkpoint, refuse_differences, tiny_data, tiny_words

CONSTANT = "optim.schedule=constant"  # a rate that falls would be planned for one epoch


def content(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """data/ and runs/r, trained and evaluated."""
    folder = tmp_path_factory.mktemp("trained")
    tiny_data(folder / "data")
    assert main(["train", *tiny_words(folder / "data", folder / "runs", "trainer.max_epochs=1", CONSTANT)]) == 0
    assert main(["evaluate", str(folder / "runs" / "r")]) == 0
    return folder


@pytest.fixture
def place(trained, tmp_path, monkeypatch) -> Path:
    """A copy of it to spoil; the current folder, so that data.path=data is what the run says."""
    shutil.copytree(trained, tmp_path / "place")
    config = tmp_path / "place" / "runs" / "r" / "config.yaml"
    text = unsealed_text(config.read_text())
    config.write_text(sealed_text(text.replace(str(trained), str(tmp_path / "place"))))
    monkeypatch.chdir(tmp_path / "place")
    return tmp_path / "place"


def refused(words, capsys) -> str:
    """Run a command that must stop; its one line."""
    capsys.readouterr()
    assert main([str(word) for word in words]) == 2
    shown = capsys.readouterr().err
    assert shown.startswith("error: ") and shown.count("\n") == 1, shown
    return shown


def train(*words):
    return ["train", *tiny_words(Path("data"), Path("runs"), "name=new"), *words]


def flip(path: Path, place: int = -40) -> None:
    damaged = bytearray(path.read_bytes())
    damaged[place] ^= 1
    path.write_bytes(damaged)


MISTAKES = {
    "data.path unset": (train("data.path="), "data.path is not set"),
    "missing data": (train("data.path=nowhere"), "nowhere is not a prepared data set; create one with 'ltrec prepare'"),
    "data is a file": (train("data.path=data/manifest.json"), "manifest.json"),
    "unknown key": (train("optim.rl=1"), "unknown key 'optim.rl' on the command line (did you mean 'optim.lr'?)"),
    "unknown section": (train("optimizer.lr=1"), "unknown key 'optimizer.lr'"),
    "wrong type": (train("trainer.max_epochs=many"), "'trainer.max_epochs' on the command line must be int; got 'many'"),
    "wrong value": (train("trainer.precision=8-bit"), "must be one of 32-true, bf16-mixed, 16-mixed"),
    "unknown model": (train("model.name=sasrek"), "did you mean 'sasrec'?"),
    "unknown schedule": (train("optim.schedule=cosin"), "did you mean 'cosine'?"),
    "missing config file": (["train", "conf/nothing.yaml"], "conf/nothing.yaml"),
    "too much memory": (train("stream.memory_mib=0"), "memory_mib"),
    "batch and lanes": (train("stream.batch_rows=25"), "batch_rows"),
    "accumulate": (train("trainer.accumulate=7"), "7 micro-batches"),
    "resume from nothing": (train("resume=no.ckpt"), "resume=no.ckpt: no such checkpoint"),
    "resume never": (train("name=r", CONSTANT, "resume=never"), "holds a run already"),
    "another config": (train("name=r", "optim.lr=7"), "holds a run with another config (optim.lr="),
    "evaluate nothing": (["evaluate", "runs/none"], "runs/none is not a run folder"),
    "evaluate data": (["evaluate", "data"], "data is not a run folder"),
    "evaluate split": (["evaluate", "runs/r", "--split", "train"], "--split train: it must be test or valid"),
    "evaluate checkpoint": (
        ["evaluate", "runs/r", "--checkpoint", "first"],
        "--checkpoint first: it must be best, last or previous",
    ),
    "compare with nothing": (["evaluate", "runs/r", "--compare", "runs/none"], "runs/none is not a run folder"),
    "predict nothing": (["predict", "runs/none"], "runs/none is not a run folder"),
    "predict checkpoint": (["predict", "runs/r", "--checkpoint", "first"], "first"),
    "predict none": (["predict", "runs/r", "--k", "0"], "k"),
    "report nothing": (["report", "runs/none"], "runs/none"),
}


@pytest.mark.parametrize(("words", "message"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_one_line_and_changes_nothing(place, capsys, words, message):
    before = content(place)
    assert message in refused(words, capsys)
    assert content(place) == before


def spoil_shard(place):
    flip(next(iter(sorted((place / "data").glob("stratum=0/part-*")))), 40)


def spoil_manifest(place):
    flip(place / "data" / "manifest.json", 200)


def spoil_vocabulary(place):
    flip(next((place / "data" / "vocab").glob("items*.parquet")), 40)


def lose_shard(place):
    next(iter(sorted((place / "data").glob("stratum=0/part-*")))).unlink()


def lose_data(place):
    (place / "data").rename(place / "elsewhere")


def truncate_checkpoint(place):
    for path in (place / "runs" / "r" / "checkpoints").iterdir():
        path.write_bytes(path.read_bytes()[:-100])


def spoil_checkpoint(place):
    for path in (place / "runs" / "r" / "checkpoints").iterdir():
        for place in range(200):  # a single one might hit the padding between two weights
            flip(path, path.stat().st_size // 2 + place)


def lose_checkpoints(place):
    shutil.rmtree(place / "runs" / "r" / "checkpoints")


def empty_run(place):
    shutil.rmtree(place / "runs" / "r")
    (place / "runs" / "r").mkdir()


def spoil_config(place):
    (place / "runs" / "r" / "config.yaml").write_text("optim:\n  lr: [1\n")


def other_data(place):
    shutil.rmtree(place / "data")
    tiny_data(place / "data", seed=5)


FRESH, AGAIN, RANK, PREDICT = (
    train(),
    train("name=r", "trainer.max_epochs=2", CONSTANT),
    ["evaluate", "runs/r", "--split", "valid"],
    ["predict", "runs/r"],
)
DAMAGES = {
    "train, flipped shard": (spoil_shard, FRESH, "part-"),
    "train, flipped manifest": (spoil_manifest, FRESH, "manifest.json is damaged"),
    "train, flipped vocabulary": (spoil_vocabulary, FRESH, "items"),
    "train, lost shard": (lose_shard, FRESH, "part-"),
    "train, truncated checkpoint": (truncate_checkpoint, AGAIN, "last.ckpt is damaged"),
    "train, flipped checkpoint": (spoil_checkpoint, AGAIN, "last.ckpt is damaged"),
    "train, other data": (other_data, AGAIN, "was trained on another data set"),
    "train, broken config": (spoil_config, ["train", "runs/r/config.yaml"], "config.yaml"),
    "evaluate, flipped shard": (spoil_shard, RANK, "part-"),
    "evaluate, lost data": (lose_data, RANK, "say where it is with --data DIR"),
    "evaluate, truncated checkpoint": (truncate_checkpoint, RANK, "best.ckpt is damaged"),
    "evaluate, lost checkpoints": (lose_checkpoints, RANK, "holds no checkpoint: train the run first"),
    "evaluate, empty run": (empty_run, RANK, "is not a run folder: it has no config.yaml"),
    "evaluate, broken config": (spoil_config, RANK, "config.yaml"),
    "evaluate, other data": (other_data, RANK, "another data set"),
    "predict, flipped shard": (spoil_shard, PREDICT, "part-"),
    "predict, truncated checkpoint": (truncate_checkpoint, PREDICT, "best.ckpt is damaged"),
    "predict, other data": (other_data, PREDICT, "another data set"),
    "report, empty run": (empty_run, ["report", "runs/r"], "runs/r"),
}


@pytest.mark.parametrize(("spoil", "words", "message"), DAMAGES.values(), ids=DAMAGES)
def test_damage_is_one_line_and_nothing_is_half_written(place, capsys, spoil, words, message):
    spoil(place)
    before = content(place)
    assert message in refused(words, capsys)
    after = content(place)
    begun = {"runs/new/config.yaml", "runs/new/provenance.json"}  # a shard is read when its first step is due
    assert set(after) - set(before) <= begun
    assert {name: after[name] for name in before} == before


def test_a_world_that_does_not_divide_the_lanes(place, capsys, monkeypatch):
    processes = {"WORLD_SIZE": "5", "LOCAL_WORLD_SIZE": "5", "RANK": "0", "LOCAL_RANK": "0"}
    for name, value in {**processes, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_ports(1)[0])}.items():
        monkeypatch.setenv(name, value)
    before = content(place)
    assert "5 processes do not divide 24 lanes (stream.lanes)" in refused(train(), capsys)
    assert content(place) == before


def test_two_runs_on_different_data_are_not_compared(place, capsys):
    tiny_data(place / "other", seed=5)
    assert main(train("data.path=other", "trainer.max_epochs=1")) == 0
    assert "prepared data differs" in refused(["evaluate", "runs/r", "--compare", "runs/new"], capsys)


def test_no_permission_is_one_line(place, capsys, monkeypatch):
    def closed(*_, **__):
        raise PermissionError(13, "Permission denied", str(place / "runs" / "new"))

    monkeypatch.setattr(Path, "mkdir", closed)
    assert f"Permission denied: {place / 'runs' / 'new'}" in refused(train(), capsys)


def test_a_full_disk_during_training_keeps_the_last_checkpoint_and_the_run_resumes(place, tmp_path):
    run, words = place / "runs" / "r", tiny_words(place / "data", place / "runs", "trainer.max_epochs=3", CONSTANT)
    shutil.copytree(place / "runs", tmp_path / "undisturbed")
    before, size = checkpoint(run), (run / "checkpoints" / "last.ckpt").stat().st_size
    done = ltrec("train", *words, check=False, file_limit=size // 2)
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("error: no space left on the disk of ") and done.stderr.count("\n") == 1, done.stderr
    assert "last.ckpt" in done.stderr
    assert torch.equal(checkpoint(run)["state_dict"]["backbone.items.weight"], before["state_dict"]["backbone.items.weight"])
    assert sorted(path.name for path in (run / "checkpoints").iterdir()) == ["best.ckpt", "last.ckpt", "previous.ckpt"]
    assert main(["train", *words]) == 0
    assert main(["train", *words, f"out={tmp_path}/undisturbed"]) == 0
    refuse_differences(run, tmp_path / "undisturbed" / "r")
