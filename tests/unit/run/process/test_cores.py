"""Threads: how many a process starts, by what it may use, and that they sleep while they wait; users' own variables win."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from ltrec.config.load import load
from ltrec.launch.local import launch_one
from ltrec.run.process import cores
from ltrec.run.process.cores import WAIT_SETTINGS, num_cores, quota_of, set_thread_variables, threads_per_process
from tests.support.commands import environment
from tests.support.timeouts import scaled


@pytest.mark.parametrize(
    ("variables", "mine", "quota", "threads"),
    [
        ({}, 16, None, 16),
        ({}, 16, 2.5, 2),
        ({}, 16, 0.5, 1),
        ({}, 2, 8.0, 2),
        ({"LOCAL_WORLD_SIZE": "4"}, 16, None, 4),
        ({"LOCAL_WORLD_SIZE": "3"}, 16, None, 5),
        ({"LOCAL_WORLD_SIZE": "4"}, 16, 6.0, 1),
        ({"LOCAL_WORLD_SIZE": "32"}, 16, None, 1),
        ({"SLURM_CPUS_PER_TASK": "8"}, 16, None, 8),
        ({"SLURM_CPUS_PER_TASK": "8", "LOCAL_WORLD_SIZE": "4"}, 64, None, 2),
        ({"SLURM_CPUS_PER_TASK": "8", "SLURM_STEP_TASKS_PER_NODE": "4(x2)"}, 64, None, 8),
        ({"SLURM_STEP_TASKS_PER_NODE": "4(x2)"}, 64, None, 16),
        ({"SLURM_STEP_TASKS_PER_NODE": "4", "SLURM_CPUS_ON_NODE": "64"}, 64, None, 16),
        ({"SLURM_STEP_TASKS_PER_NODE": "4", "SLURM_CPUS_ON_NODE": "64"}, 16, None, 16),
        ({"SLURM_CPUS_PER_TASK": "many", "LOCAL_WORLD_SIZE": "-2"}, 6, None, 6),
        ({"SLURM_CPUS_PER_TASK": "0", "LOCAL_WORLD_SIZE": ""}, 6, None, 6),
    ],
)
def test_threads_per_process(variables, mine, quota, threads):
    assert threads_per_process(variables, mine, quota) == threads


def test_threads_of_processes_to_be_started():
    assert threads_per_process({}, 16, None, processes=4) == 4
    assert threads_per_process({"SLURM_CPUS_PER_TASK": "6"}, 16, None, processes=2) == 3
    assert threads_per_process({}, 2, None, processes=8) == 1


@pytest.fixture
def eight(monkeypatch):
    """A machine of eight cores without a quota."""
    monkeypatch.setattr(cores, "num_cores", lambda: 8)
    monkeypatch.setattr(cores, "quota_of", lambda: None)


def settled(given, **how):
    variables = dict(given)
    set_thread_variables(variables, **how)
    return variables


def test_variables_that_are_set(eight):
    assert settled({}) == WAIT_SETTINGS, "torch finds all eight by itself"
    assert settled({"LOCAL_WORLD_SIZE": "2"}) == {"LOCAL_WORLD_SIZE": "2", "OMP_NUM_THREADS": "4", **WAIT_SETTINGS}
    assert settled({}, processes=2) == {"OMP_NUM_THREADS": "4", **WAIT_SETTINGS}
    assert settled({}, processes=1) == WAIT_SETTINGS


@pytest.mark.parametrize("name", ["OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME"])
def test_wait_variables_of_the_user_are_kept(eight, name):
    assert settled({name: "x"}) == {name: "x"}


@pytest.mark.parametrize("name", ["OMP_NUM_THREADS", "MKL_NUM_THREADS"])
def test_thread_counts_of_the_user_are_kept(eight, name):
    assert settled({name: "7", "LOCAL_WORLD_SIZE": "2"}) == {name: "7", "LOCAL_WORLD_SIZE": "2", **WAIT_SETTINGS}


def test_hardware_threads_of_a_core_count_once(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 5, 6})
    for number, (package, core) in {0: (0, 0), 1: (0, 1), 2: (0, 0), 5: (1, 0)}.items():
        (tmp_path / f"cpu{number}" / "topology").mkdir(parents=True)
        (tmp_path / f"cpu{number}" / "topology" / "physical_package_id").write_text(f"{package}\n")
        (tmp_path / f"cpu{number}" / "topology" / "core_id").write_text(f"{core}\n")
    assert num_cores(tmp_path) == 4, "0 and 2 are one core; of 6 nothing is known"


def write(folder, **files):
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(f"{text}\n")


def membership(folder, *lines):
    path = folder / "membership"
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def test_quotas_of_version_two(tmp_path):
    root = tmp_path / "cgroup"
    assert quota_of(root, tmp_path / "none") is None
    write(root / "slice" / "job", cpu__max="max 100000")
    mine = membership(tmp_path, "0::/slice/job")
    assert quota_of(root, mine) is None
    write(root / "slice", cpu__max="350000 100000")
    assert quota_of(root, mine) == 3.5, "a limit of what is around counts"
    write(root / "slice" / "job", cpu__max="200000 100000")
    assert quota_of(root, mine) == 2
    write(root, cpu__max="50000 100000")
    assert quota_of(root, mine) == quota_of(root, membership(tmp_path, "0::/")) == quota_of(root, tmp_path / "none") == 0.5


@pytest.mark.parametrize("mount", ["cpu", "cpu,cpuacct"])
def test_quotas_of_version_one(tmp_path, mount):
    root = tmp_path / "cgroup"
    write(root / mount / "docker" / "1", cpu__cfs_quota_us="150000", cpu__cfs_period_us="100000")
    write(root / mount, cpu__cfs_quota_us="-1", cpu__cfs_period_us="100000")
    other = "7:cpuset:/elsewhere"
    assert quota_of(root, membership(tmp_path, other, f"4:{mount}:/docker/1", "0::/")) == 1.5
    assert quota_of(root, membership(tmp_path, other, f"4:{mount}:/", "0::/")) is None


@pytest.mark.parametrize("text", ["", "lots 100000", "100000", "100000 0"])
def test_unreadable_quotas_are_no_limit(tmp_path, text):
    write(tmp_path / "cgroup", cpu__max=text)
    assert quota_of(tmp_path / "cgroup", tmp_path / "none") is None


SEEN = """
import os, sys
from ltrec.cli import main as cli
assert not {"torch", "numpy"} & set(sys.modules), "the command line must settle threads before torch is there"
cli.main(["train", "--help"])
import torch
print("seen", torch.get_num_threads(), os.environ["GOMP_SPINCOUNT"])
"""


def test_variables_are_set_before_torch_is_imported():
    """By the command line, before it is imported; libgomp itself says what it has read. Two processes share what one would have."""
    plain = {key: value for key, value in environment().items() if key not in ("OMP_NUM_THREADS", *WAIT_SETTINGS)}
    told = {**plain, "OMP_DISPLAY_ENV": "verbose", "LOCAL_WORLD_SIZE": "2"}
    done = subprocess.run([sys.executable, "-c", SEEN], capture_output=True, text=True, env=told, timeout=scaled(120), check=True)
    assert f"seen {max(1, num_cores() // 2)} 3000" in done.stdout
    assert "GOMP_SPINCOUNT = '3000'" in done.stderr


def test_launch_local_gives_its_processes_their_cores(eight, monkeypatch):
    """Not one thread each, as torchrun would."""
    started = {}
    monkeypatch.setattr(os, "environ", {"PATH": "/bin"})
    monkeypatch.setattr(os, "execv", lambda program, words: started.update(os.environ))
    launch_one(load([], ["name=a", "trainer.accelerator=cpu"]), ["name=a"], processes=4, max_restarts=0, profile=0, dry_run=False)
    assert started["OMP_NUM_THREADS"] == "2" and started.items() >= WAIT_SETTINGS.items()
