"""GPUs and cores are divided among jobs, and none is in two shares."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ltrec.config.load import load
from ltrec.core.errors import UserError
from ltrec.launch import processor_shares as module
from ltrec.launch.processor_shares import DEVICES, Share, ranges, shares, visible_gpus
from ltrec.run.process import cores


@pytest.fixture
def machine(monkeypatch):
    """Call it with what the machine has."""

    def make(gpus=0, cpus=4, visible=None, threads=None, quota=None):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
        monkeypatch.setattr(module, "cores_of", lambda: [(number,) for number in range(cpus)])
        monkeypatch.setattr(cores, "num_cores", lambda: cpus)
        for name in (module, cores):
            monkeypatch.setattr(name, "quota_of", lambda: quota)
        for name, value in ((DEVICES, visible), ("OMP_NUM_THREADS", threads)):
            monkeypatch.delenv(name, raising=False)
            if value is not None:
                monkeypatch.setenv(name, value)

    return make


def runs(*words):
    return [load([], ["name=a", *words])]


@pytest.mark.parametrize(
    ("count", "visible", "gpus"),
    [
        (0, None, ()),
        (3, None, ("0", "1", "2")),
        (2, "5, 3", ("5", "3")),
        (1, "2,-1,3", ("2",)),
        (1, "MIG-a", ("MIG-a",)),
        (0, "", ()),
    ],
)
def test_gpus_have_the_names_that_the_user_gave_them(machine, count, visible, gpus):
    machine(count, visible=visible)
    assert visible_gpus() == gpus


def test_one_job_has_all_gpus_and_any_core(machine):
    machine(8, cpus=2)
    [share] = shares(runs(), processes=0, jobs=1)
    assert share.processes_of(*runs()) == 8 and share.cores == ()


@pytest.mark.parametrize(("jobs", "each"), [(1, 8), (2, 4), (3, 2), (8, 1)])
def test_each_job_has_its_own_gpus(machine, jobs, each):
    machine(8, cpus=1)
    found = shares(runs(), processes=0, jobs=jobs)
    used = [share.variables(*runs(), {})[DEVICES].split(",") for share in found]
    assert [len(gpus) for gpus in used] == [each] * jobs == [share.processes_of(*runs()) for share in found]
    assert len({gpu for gpus in used for gpu in gpus}) == jobs * each
    assert all(share.cores == () for share in found), "cores may be fewer than GPUs"


def test_fewer_processes_leave_gpus_of_the_share_unused(machine):
    machine(8)
    first, second = shares(runs(), processes=2, jobs=2)
    assert (first.variables(*runs(), {})[DEVICES], second.variables(*runs(), {})[DEVICES]) == ("0,1", "4,5")


@given(cpus=st.integers(1, 40), jobs=st.integers(2, 12), processes=st.sampled_from([0, 1, 2, 3, 4]))
def test_cores_are_in_one_share_or_the_jobs_are_refused(cpus, jobs, processes):
    needed = jobs * max(1, processes)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.cuda, "is_available", lambda: False)
        patch.setattr(module, "cores_of", lambda: [(number,) for number in range(cpus)])
        patch.setattr(cores, "num_cores", lambda: cpus)
        for name in (module, cores):
            patch.setattr(name, "quota_of", lambda: None)
        patch.delenv("OMP_NUM_THREADS", raising=False)
        if needed > cpus:
            with pytest.raises(UserError, match=f"--jobs {jobs}.*that takes {needed} cores"):
                shares(runs(), processes=processes, jobs=jobs)
            return
        found = shares(runs(), processes=processes, jobs=jobs)
        threads = int(found[0].variables(*runs(), {})["OMP_NUM_THREADS"])
    everything = [core for share in found for core in share.cores]
    assert len(everything) == len(set(everything)) == jobs * (cpus // jobs)
    assert 1 <= threads * max(1, processes) <= cpus // jobs


@pytest.mark.parametrize(
    ("gpus", "options", "told"),
    [
        (0, {"jobs": 3}, "--jobs 3: that takes 3 cores, none of them shared, and this machine has 2 to use; --jobs 2 would fit"),
        (0, {"jobs": 2, "processes": 2}, "--jobs 2 and --processes 2: that takes 4 cores.* has 2 to use; --jobs 1 would fit"),
        (2, {"jobs": 4}, "--jobs 4: that takes 4 GPUs, none of them shared, and this machine has 2 to use; --jobs 2 would fit"),
        (2, {"jobs": 1, "processes": 4}, "--processes 4: that takes 4 GPUs.* has 2 to use; --processes 2 would fit"),
    ],
)
def test_too_many_jobs_or_processes_are_refused(machine, gpus, options, told):
    machine(gpus, cpus=2)
    with pytest.raises(UserError, match=told):
        shares(runs(), **{"processes": 0, **options})


def test_requested_threads_must_fit(machine):
    machine(cpus=4)
    with pytest.raises(UserError, match=r"a: trainer.threads=3 does not fit: each job has 2 cores"):
        shares(runs("trainer.threads=3"), processes=0, jobs=2)
    machine(cpus=4, threads="3")
    with pytest.raises(UserError, match=r"OMP_NUM_THREADS=3 does not fit"):
        shares(runs(), processes=0, jobs=2)
    machine(cpus=4, threads="2")
    [share, _] = shares(runs(), processes=0, jobs=2)
    assert share.variables(*runs(), {"OMP_NUM_THREADS": "2"})["OMP_NUM_THREADS"] == "2", "what the user says stays"


def test_hardware_threads_and_a_quota_are_counted(machine, monkeypatch):
    machine(quota=2.5)
    assert [share.cpus for share in shares(runs(), processes=0, jobs=2)] == [[0], [1]]
    machine()
    monkeypatch.setattr(module, "cores_of", lambda: [(0, 4), (1, 5), (2, 6), (3, 7)])
    assert [share.cpus for share in shares(runs(), processes=0, jobs=2)] == [[0, 1, 4, 5], [2, 3, 6, 7]]


def test_a_cpu_run_beside_gpu_runs_has_its_own_cores(machine):
    machine(4, cpus=4)
    on_gpu, on_cpu = runs()[0], runs("trainer.accelerator=cpu")[0]
    found = shares([on_gpu, replace(on_cpu, name="b")], processes=0, jobs=2)
    assert [share.processes_of(on_cpu) for share in found] == [1, 1] and DEVICES not in found[0].variables(on_cpu, {})
    assert [share.cpus for share in found] == [[0, 1], [2, 3]] and [share.processes_of(on_gpu) for share in found] == [2, 2]
    assert found[0].describe(on_cpu) == "1 process on CPU 0-1 (trainer.accelerator=cpu)"


def test_ranges():
    assert ranges((0, 1, 2, 5, 7, 8)) == "0-2,5,7-8"
    assert Share(cores=((3,),)).describe(*runs()) == "1 process on CPU 3" and module.DEVICES == "CUDA_VISIBLE_DEVICES"
