"""`ltrec launch local`: what is shown and started for one run and for several, and what is refused."""

import os
import shlex
import sys
from pathlib import Path

import pytest
import torch

from ltrec.cli.main import main
from ltrec.launch.torchrun import FRESH_STORE
from tests.support.commands import HOSTILE, QUICKSTART


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)  # whatever this machine has
    return tmp_path


def launch(*words):
    return main(["launch", *words])


def test_local_is_torchrun_with_the_words_as_they_are(capsys, monkeypatch):
    words = [*QUICKSTART, f"out={HOSTILE}", "name=a"]
    assert launch("local", *words, "--processes", "3", "--max-restarts", "2", "--dry-run") == 0
    shown = shlex.split(capsys.readouterr().out)
    assert shown[:3] == [sys.executable, "-m", "torch.distributed.run"] and shown[-len(words) :] == words
    assert {"--nproc-per-node=3", "--max-restarts=2"} < set(shown)
    started = []
    monkeypatch.delenv(*FRESH_STORE, raising=False)
    monkeypatch.setattr(os, "execv", lambda program, words: started.append((program, words)))
    assert launch("local", *words, "--processes", "3", "--max-restarts", "2") == 0
    assert started == [(sys.executable, shown)] and FRESH_STORE.items() <= os.environ.items()


@pytest.mark.parametrize("words", [["--nodes", "1"], ["--python"], ["--sbatch", "qos=high"], ["--cpus", "4"]])
def test_local_refuses_options_of_slurm(capsys, words):
    assert launch("local", *QUICKSTART, *words, "--dry-run") == 2
    assert f"{words[0]} is for ltrec launch slurm" in capsys.readouterr().err


def test_slurm_refuses_options_of_local(capsys):
    assert launch("slurm", *QUICKSTART, "--array-seeds", "0-2", "--jobs", "2", "--dry-run") == 2
    assert "--jobs is for ltrec launch local" in capsys.readouterr().err


def test_jobs_need_several_runs(capsys):
    assert launch("local", *QUICKSTART, "--jobs", "2", "--dry-run") == 2
    assert "name them by --array-seeds or --sweep" in capsys.readouterr().err


def gpus(monkeypatch, count, visible=None):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    (
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        if visible is None
        else monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    )


@pytest.mark.parametrize(
    ("count", "visible", "words", "processes", "told"),
    [
        (8, None, [], 8, "8 processes, one for each GPU (0, 1, 2, 3, 4, 5, 6, 7)"),
        (2, "5,GPU-1f", [], 2, "2 processes, one for each GPU (5, GPU-1f)"),
        (1, None, [], 1, "1 process on GPU 0"),
        (8, None, ["--processes", "4"], 4, "4 processes, one for each GPU (0, 1, 2, 3)"),
        (8, None, ["trainer.accelerator=cpu"], 1, "1 process on the CPU (trainer.accelerator=cpu)"),
        (8, None, ["trainer.accelerator=cpu", "--processes", "2"], 2, "2 processes on the CPU"),
        (0, None, [], 1, "1 process on the CPU"),
    ],
)
def test_local_uses_every_gpu_and_says_so(capsys, monkeypatch, count, visible, words, processes, told):
    gpus(monkeypatch, count, visible)
    assert launch("local", *QUICKSTART, *words, "--dry-run") == 0
    said = capsys.readouterr()
    assert f"--nproc-per-node={processes}" in shlex.split(said.out) and told in said.err


def test_local_refuses_more_processes_than_gpus_or_that_do_not_divide_the_lanes(capsys, monkeypatch):
    gpus(monkeypatch, 2)
    assert launch("local", *QUICKSTART, "--processes", "3", "--dry-run") == 2
    assert "--processes 3: that takes 3 GPUs, none of them shared, and this machine has 2" in capsys.readouterr().err
    gpus(monkeypatch, 7)
    assert launch("local", *QUICKSTART, "--dry-run") == 2
    assert "7 processes do not divide 48 lanes" in (said := capsys.readouterr().err) and "--processes sets another" in said
    gpus(monkeypatch, 0)
    assert launch("local", *QUICKSTART, "trainer.accelerator=gpu", "--dry-run") == 2
    assert "torch sees no CUDA device" in capsys.readouterr().err


def test_a_dry_run_shows_one_command_per_run(capsys, folder):
    assert launch("local", *QUICKSTART, "name=a", "--array-seeds", "0-2", "--dry-run") == 0
    told = capsys.readouterr()
    shown = [shlex.split(line) for line in told.out.splitlines()]
    assert shown == [[sys.executable, "-m", "ltrec", "train", f"runs/a-seed{seed}/config.yaml"] for seed in (0, 1, 2)]
    assert "3 runs, 1 at a time" in told.err and "a-seed0: 1 process on the CPU" in told.err and list(folder.iterdir()) == []
    assert launch("local", *QUICKSTART, "name=a", "--array-seeds", "0-2", "--processes", "2", "--dry-run") == 0
    assert "--nproc-per-node=2" in capsys.readouterr().out


def test_local_runs_are_named_as_in_an_array(capsys):
    Path("lr.yaml").write_text("optim: {lr: 0.1}\n")
    words = [*QUICKSTART, "name=a", "--sweep", "lr.yaml", "--array-seeds", "0-1"]
    assert launch("local", *words, "--dry-run") == 0 == launch("slurm", *words, "--dry-run")
    here, _, there = capsys.readouterr().out.partition("#!")
    for name in ("runs/a-lr-seed0", "runs/a-lr-seed1"):
        assert f"{name}/config.yaml" in here and f"  {name}\n" in there


def test_a_folder_with_another_run_stops_all_before_the_first(capsys):
    (Path("runs/a-seed1/checkpoints")).mkdir(parents=True)
    (Path("runs/a-seed1/checkpoints/last.ckpt")).touch()
    assert launch("local", *QUICKSTART, "name=a", "--array-seeds", "0-1") == 2
    assert "runs/a-seed1" in capsys.readouterr().err and not Path("runs/a-seed0").exists()


def test_runs_at_one_time_are_shown_with_gpus_of_their_own(capsys, monkeypatch):
    gpus(monkeypatch, 4)
    assert launch("local", *QUICKSTART, "name=a", "--array-seeds", "0-2", "--jobs", "2", "--dry-run") == 0
    told = capsys.readouterr()
    for seed, used in enumerate(("0, 1", "2, 3", "0, 1")):
        assert f"a-seed{seed}: 2 processes, one for each GPU ({used})" in told.err
    assert told.out.count("--nproc-per-node=2") == 3 and "3 runs, 2 at a time" in told.err
