"""`ltrec doctor` finds problems and says how to fix them; it reads limits as the kernel writes them."""

import io
import os
import socket

import pytest
import torch.distributed as dist
from rich.console import Console

from ltrec.cli.main import main
from ltrec.doctor import checks as doctor
from ltrec.doctor import machine as doctor_machine
from ltrec.doctor import software as doctor_software
from ltrec.doctor.finding import Finding, broken, ok, warning
from ltrec.doctor.machine import GIB, available_bytes, cgroup_limit, cores, disk, memory


@pytest.fixture
def cgroup(tmp_path):
    def write(**files):
        for name, text in files.items():
            (tmp_path / name.replace("_", ".", 1)).write_text(f"{text}\n")
        return tmp_path

    return write


def meminfo(folder, gib):
    path = folder / "meminfo"
    path.write_text(f"MemTotal:       {64 << 20} kB\nMemAvailable:   {int(gib * (1 << 20))} kB\n")
    return path


def printed(findings):
    console = Console(width=200, file=io.StringIO())
    doctor.show(findings, console)
    return console.file.getvalue()


def test_limits_of_both_versions_of_cgroups(tmp_path, cgroup):
    assert cgroup_limit(tmp_path) == (None, 0)
    assert cgroup_limit(cgroup(memory_max="max")) == (None, 0)
    assert cgroup_limit(cgroup(memory_max=4 * GIB, memory_current=GIB)) == (4 * GIB, GIB)
    old = tmp_path / "old"
    (old / "memory").mkdir(parents=True)
    (old / "memory/memory.limit_in_bytes").write_text(f"{3 * GIB}\n")
    (old / "memory/memory.usage_in_bytes").write_text("17\n")
    assert cgroup_limit(old) == (3 * GIB, 17)
    (old / "memory/memory.limit_in_bytes").write_text("9223372036854771712\n")
    assert cgroup_limit(old) == (None, 0)


def test_memory_is_the_lesser_of_free_memory_and_the_limit(tmp_path, cgroup):
    info = meminfo(tmp_path, 16)
    assert available_bytes(info) == 16 * GIB
    assert memory(tmp_path, info) == ok("16.0 GiB to use")
    tight = memory(cgroup(memory_max=4 * GIB, memory_current=3 * GIB), info)
    assert tight.verdict == "warning" and "1.0 GiB to use" in tight.says and "limit of this container or job is 4.0" in tight.says
    assert memory(tmp_path, meminfo(tmp_path, 0.5)).verdict == "warning"


def test_more_threads_than_the_quota_allows_give_a_warning(cgroup, tmp_path, monkeypatch):
    def found(cpu_max, cores_here=8):
        monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(cores_here))
        return cores(cgroup(cpu_max=cpu_max), tmp_path / "no membership")

    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert found("max 100000").verdict == found("250000 100000").verdict == "ok", "ltrec starts no more than that by itself"
    assert "a quota of 2.5" in found("250000 100000").says
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    limited = found("250000 100000")
    assert limited.verdict == "warning" and "OMP_NUM_THREADS=2" in limited.remedy
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert found("250000 100000").verdict == "ok"
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert found("max 100000", cores_here=1).verdict == "warning"


def test_the_disk_is_written_to_and_cleaned_up(tmp_path, monkeypatch):
    found = disk(tmp_path / "not" / "there" / "yet")
    assert found.verdict == "ok" and str(tmp_path) in found.says and "fsync" in found.says
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr(doctor_machine, "seconds_to_write", lambda _: 5.0)
    assert "5,000 ms" in disk(tmp_path).says and disk(tmp_path).verdict == "warning"


@pytest.mark.parametrize(("number", "remedy"), [(28, "make room"), (30, "choose another folder")])
def test_a_disk_that_cannot_be_written_is_broken(tmp_path, monkeypatch, number, remedy):
    def full(_folder):
        raise OSError(number, "no")

    monkeypatch.setattr(doctor_machine, "seconds_to_write", full)
    assert disk(tmp_path).verdict == "broken" and remedy in disk(tmp_path).remedy


def test_a_warning_or_an_error_needs_a_remedy():
    for make in (warning, broken):
        with pytest.raises(AssertionError):
            make("x", "")


def test_the_verdict_and_the_exit_code():
    fine, slow, dead = ok("a").named("A"), warning("b", "do b").named("B"), broken("c", "do c").named("C")
    assert (doctor.exit_code([fine]), doctor.exit_code([fine, slow]), doctor.exit_code([dead, fine])) == (0, 0, 1)
    assert doctor.verdict([fine]).startswith("ready: ")
    assert doctor.verdict([fine, slow]) == "ready, with 1 warning(s): B"
    text = printed([fine, slow, dead])
    assert text.splitlines()[-1].strip() == "not ready: C must be fixed first"
    assert "-> do b" in text and "-> do c" in text


def test_several_machines_are_named():
    text = printed([ok("a").named("A").on("n1"), warning("b", "do b").named("B").on("n2")])
    assert "n1" in text.splitlines()[0] and "n2" in text.splitlines()[1]


@pytest.fixture
def programs(tmp_path, monkeypatch):
    """Nothing is on the path but these scripts."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)

    def write(**scripts):
        for name, script in scripts.items():
            (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
            (tmp_path / name).chmod(0o755)

    return write


def test_slurm_with_and_without_a_controller(programs, monkeypatch):
    assert doctor_software.slurm().verdict == "ok" and "not on this machine" in doctor_software.slurm().says
    programs(sbatch="echo slurm-wlm 22.05.8", sinfo="echo gpu; echo cpu; echo gpu")
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    assert doctor_software.slurm() == ok("slurm-wlm 22.05.8, 2 partition(s): cpu, gpu; inside job 17")
    programs(sinfo="echo slurm_load_partitions: Unable to contact slurm controller >&2; exit 1")
    found = doctor_software.slurm()
    assert found.verdict == "warning" and "Unable to contact" in found.says


def test_a_deepspeed_that_does_not_import_is_a_warning(monkeypatch, programs, tmp_path):
    programs(python="echo Traceback >&2; echo MissingCUDAException: CUDA_HOME does not exist >&2; exit 1")
    monkeypatch.setattr(doctor_software.sys, "executable", str(tmp_path / "python"))
    found = doctor_software.deepspeed()
    assert found.verdict == "warning" and "MissingCUDAException" in found.says


def test_deepspeed_installed_or_not(monkeypatch, programs, tmp_path):
    programs(python=":")
    monkeypatch.setattr(doctor_software.sys, "executable", str(tmp_path / "python"))
    assert doctor_software.deepspeed().verdict == "ok" and doctor_software.deepspeed().says.endswith("imports")

    monkeypatch.setattr(doctor_software, "missing", lambda extra: [extra])
    found = doctor_software.deepspeed()
    assert found.verdict == "ok", "nobody has to have it"
    assert "stratified_deepspeed" in found.says and "pip install 'ltrec[deepspeed]'" in found.says


def test_installed_and_missing_extras(monkeypatch):
    assert doctor_software.extras().says.startswith("deepspeed, export, gram, index, report, serve")
    monkeypatch.setattr(doctor_software, "missing", lambda extra: [])
    assert doctor_software.extras() == ok("deepspeed, export, gram, index, report, serve, spark, wandb")
    monkeypatch.setattr(doctor_software, "missing", lambda extra: ["x"] if extra in ("gram", "wandb") else [])
    says = doctor_software.extras().says
    assert says == "deepspeed, export, index, report, serve, spark; not installed: gram, wandb (pip install 'ltrec[gram,wandb]')"
    assert doctor_software.wandb() == ok("not installed; tracking.wandb needs it (pip install 'ltrec[wandb]')")


def test_nccl_is_only_needed_with_gpus(monkeypatch):
    monkeypatch.setattr(doctor_software.torch.cuda, "is_available", lambda: False)
    assert doctor_software.nccl() == ok("not needed without GPUs")
    monkeypatch.setattr(doctor_software.torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(doctor_software.dist, "is_nccl_available", lambda: False)
    assert doctor_software.nccl().verdict == "broken"
    monkeypatch.setattr(doctor_software.dist, "is_nccl_available", lambda: True)
    monkeypatch.setattr(doctor_software.torch.cuda.nccl, "version", lambda: (2, 27, 5))
    assert doctor_software.nccl() == ok("2.27.5")


def test_cuda_that_torch_cannot_see(tmp_path, monkeypatch):
    driver = tmp_path / "version"
    monkeypatch.setattr(doctor_software.torch.cuda, "is_available", lambda: False)
    assert doctor_software.cuda(driver).verdict == "ok"
    driver.write_text("NVRM version")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(doctor_software.torch.version, "cuda", None)
    assert doctor_software.cuda(driver).verdict == "warning"
    monkeypatch.setattr(doctor_software.torch.version, "cuda", "12.8")
    assert doctor_software.cuda(driver).verdict == "broken"
    for hidden in ("", "-1"):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
        assert doctor_software.cuda(driver).verdict == "ok"


def test_gloo_works_here_and_its_failure_has_a_remedy(monkeypatch):
    assert doctor_software.gloo().verdict == "ok"

    def lost(*_):
        raise RuntimeError("unable to resolve hostname to a (local) address\nmore")

    monkeypatch.setattr(dist, "ProcessGroupGloo", lost)
    found = doctor_software.gloo()
    assert found.verdict == "broken" and found.says.endswith("address") and "GLOO_SOCKET_IFNAME" in found.remedy


def test_wandb_without_a_key_is_ok_but_an_incomplete_key_is_a_warning(monkeypatch):
    monkeypatch.setattr(doctor_software, "why_no_credentials", lambda: doctor_software.NO_KEY)
    assert doctor_software.wandb().verdict == "ok" and "continue offline" in doctor_software.wandb().says
    monkeypatch.setattr(doctor_software, "why_no_credentials", lambda: "WANDB_API_KEY invalid: API key must have 40+ characters")
    assert doctor_software.wandb().verdict == "warning" and "invalid" in doctor_software.wandb().says


def test_wandb_with_a_key_checks_whether_its_server_answers(monkeypatch):
    monkeypatch.setattr(doctor_software, "why_no_credentials", lambda: None)
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        monkeypatch.setattr(doctor_software, "server", lambda: address)
        assert "answers" in doctor_software.wandb().says
    found = doctor_software.wandb()
    assert found.verdict == "warning" and "refused" in found.says


def test_the_command_ends_with_the_verdict(monkeypatch, capsys, tmp_path):
    findings = {name: (lambda name=name: ok(f"{name} is well")) for name in doctor.CHECKS}
    monkeypatch.setattr(doctor, "CHECKS", findings)
    assert main(["doctor", "--out", str(tmp_path)]) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("ready")
    findings["gloo"] = lambda: broken("lost", "find it")
    assert main(["doctor", "--out", str(tmp_path)]) == 1
    assert capsys.readouterr().out.splitlines()[-1] == "not ready: gloo must be fixed first"


def test_every_check_of_this_machine_finds_something(tmp_path, monkeypatch):
    monkeypatch.setattr(doctor_software, "why_no_credentials", lambda: "no key")
    monkeypatch.setattr(doctor, "CHECKS", {name: check for name, check in doctor.CHECKS.items() if name != "DeepSpeed"})
    found = list(doctor.examine(tmp_path))
    assert [finding.name for finding in found] == [*doctor.CHECKS, "disk"]
    assert all(isinstance(finding, Finding) and finding.says for finding in found)
    assert [finding for finding in found if finding.verdict == "broken"] == []
