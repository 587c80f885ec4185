"""Checks of the software. Each does a small piece of the real work, because a version number proves little."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Sequence
from datetime import timedelta
from importlib import metadata
from pathlib import Path

import torch
import torch.distributed as dist

from ltrec.core.errors import first_line
from ltrec.core.extension.extras import EXTRAS, install, missing
from ltrec.doctor.finding import Finding, broken, ok, warning
from ltrec.tracking.wandb import NO_KEY, server, unreachable, why_no_credentials
from ltrec.version import __version__

_DRIVER = Path("/proc/driver/nvidia/version")
_TIMEOUT_S = 20


def python() -> Finding:
    """Interpreter and operating system."""
    says = f"{platform.python_version()} in {sys.prefix}; ltrec {__version__}"
    if sys.platform != "linux":
        return warning(f"{says}; on {sys.platform}", "ltrec is tested on Linux only")
    return ok(says)


def torch_build() -> Finding:
    """A matrix product and its gradient on the CPU."""
    build = f"built for CUDA {torch.version.cuda}" if torch.version.cuda else "built for CPUs only"
    says = f"{torch.__version__}, {build}, {torch.get_num_threads()} threads"
    matrix = torch.eye(64, requires_grad=True)
    (matrix @ matrix).sum().backward()  # type: ignore[no-untyped-call]
    if matrix.grad is None or not matrix.grad.isfinite().all():
        return broken(says, "a small matrix product has no gradient: install torch again (make install)")
    return ok(says)


def cuda(driver: Path = _DRIVER) -> Finding:
    """A matrix product on every GPU that torch sees."""
    if not torch.cuda.is_available():
        if not driver.exists():
            return ok("no GPU here: training runs on the CPU")
        hidden = os.environ.get("CUDA_VISIBLE_DEVICES")
        if hidden is not None and not hidden.strip("-1 ,"):
            return ok(f"GPUs are hidden (CUDA_VISIBLE_DEVICES={hidden!r}): training runs on the CPU")
        if torch.version.cuda is None:
            return warning(
                "there is an NVIDIA driver, but this torch is built for CPUs", "install a CUDA build of torch (make install)"
            )
        return broken(
            f"there is an NVIDIA driver, but torch (CUDA {torch.version.cuda}) sees no GPU",
            "'nvidia-smi' should list it; in a container or a job it must be requested (--gpus all, --nv, --gpus-per-node); "
            "the driver may be too old for this CUDA",
        )
    names = []
    for index in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(index)
        names.append(f"{properties.name} ({properties.total_memory / 2**30:.0f} GiB)")
        try:
            ones = torch.ones(256, 256, device=f"cuda:{index}")
            assert float((ones @ ones).sum()) == 256.0**3
        except RuntimeError as error:
            return broken(
                f"GPU {index}, {names[-1]}: {first_line(error)}",
                "another process may use it exclusively, or torch was built without support for it",
            )
    return ok(f"{len(names)} x {names[0]}" if len(set(names)) == 1 else ", ".join(names))


def nccl() -> Finding:
    """Communication between GPUs. That it works is tested under torchrun (`ring`)."""
    if not torch.cuda.is_available():
        return ok("not needed without GPUs")
    if not dist.is_nccl_available():
        return broken(
            "this torch was built without NCCL", "several GPUs cannot train together: install a CUDA build of torch for Linux"
        )
    return ok(".".join(map(str, torch.cuda.nccl.version())))  # type: ignore[no-untyped-call]


def gloo() -> Finding:
    """Communication between CPUs, and of control messages: a group of one process must find a network interface."""
    if not dist.is_gloo_available():
        return broken(
            "this torch was built without gloo", "several processes cannot train together: install torch again (make install)"
        )
    try:
        store = dist.HashStore()  # type: ignore[attr-defined]
        group = dist.ProcessGroupGloo(store, 0, 1, timedelta(seconds=_TIMEOUT_S))
        group.allreduce([torch.ones(1)]).wait()  # type: ignore[attr-defined]
    except RuntimeError as error:
        return broken(
            first_line(error),
            f"the host name {platform.node()!r} may not resolve: add it to /etc/hosts, or name an interface: GLOO_SOCKET_IFNAME=lo",
        )
    return ok("works in a group of one process")


def extras() -> Finding:
    """Installed extras. None is required: a feature whose extra is missing says so."""
    absent = [extra for extra in EXTRAS if missing(extra)]
    here = ", ".join(extra for extra in EXTRAS if extra not in absent) or "none"
    return ok(here + (f"; not installed: {', '.join(absent)} ({install(','.join(absent))})" if absent else ""))


def deepspeed() -> Finding:
    """Import it in a process of its own, which takes seconds: it looks for compilers and devices."""
    if missing("deepspeed"):
        return ok(f"not installed; strategies stratified_deepspeed_* need it ({install('deepspeed')})")
    version = metadata.version("deepspeed")
    found = _output_of([sys.executable, "-c", "import ltrec.strategy.deepspeed.imports"], timeout_s=60)
    if isinstance(found, str):
        return ok(f"{version} imports")
    return warning(
        f"{version} does not import: {found.message}",
        "all other strategies work; 'python -c \"import deepspeed\"' says more (it may need CUDA_HOME or a compiler)",
    )


def slurm() -> Finding:
    """Whether jobs can be submitted: sbatch is there, and the controller answers."""
    job = os.environ.get("SLURM_JOB_ID")
    inside = "" if job is None else f"; inside job {job}"
    if shutil.which("sbatch") is None:
        return ok(f"not on this machine: 'ltrec launch slurm' can only show its script (--dry-run){inside}")
    version = _output_of(["sbatch", "--version"])
    partitions = _output_of(["sinfo", "--noheader", "--format=%R"])
    if not isinstance(version, str) or not isinstance(partitions, str):
        failed = next(found for found in (version, partitions) if isinstance(found, _CommandFailed))
        return warning(f"{failed.message}{inside}", "no job can be submitted from here: is the controller up ('scontrol ping')?")
    names = sorted(set(partitions.split()))
    return ok(f"{version.strip()}, {len(names)} partition(s): {', '.join(names[:6])}{' ...' if names[6:] else ''}{inside}")


def wandb() -> Finding:
    """Whether there is an API key (never shown), and whether the server can be reached."""
    if missing("wandb"):
        return ok(f"not installed; tracking.wandb needs it ({install('wandb')})")
    version = metadata.version("wandb")
    refusal = why_no_credentials()
    if refusal == NO_KEY:
        return ok(f"{version}; {refusal}: tracking.wandb=online would continue offline")
    if refusal is not None:
        return warning(
            f"{version}; {refusal}", "'wandb login', or a whole key in WANDB_API_KEY; until then online continues offline"
        )
    reason = unreachable(server())
    if reason is not None:
        return warning(
            f"{version}; an API key is present, but {reason}",
            "tracking.wandb=online continues offline, 'wandb sync' sends later; behind a proxy set HTTPS_PROXY",
        )
    return ok(f"{version}; an API key is present, {server()} answers")


class _CommandFailed:
    """A command that failed, and its last line of output."""

    def __init__(self, message: str) -> None:
        self.message = message


def _output_of(command: Sequence[str], *, timeout_s: float = _TIMEOUT_S) -> str | _CommandFailed:
    """The output of a command, or why there is none."""
    try:
        done = subprocess.run(
            list(command), capture_output=True, text=True, timeout=timeout_s, check=False, stdin=subprocess.DEVNULL
        )
    except subprocess.TimeoutExpired:
        return _CommandFailed(f"{command[0]} gave no answer within {timeout_s:g} s")
    except OSError as error:
        return _CommandFailed(f"{command[0]}: {os.strerror(error.errno or 0)}")
    if done.returncode:
        lines = [line.strip() for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        return _CommandFailed(lines[-1] if lines else f"{command[0]} ended with code {done.returncode}")
    return done.stdout
