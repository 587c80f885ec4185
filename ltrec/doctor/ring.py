"""`ltrec doctor` under torchrun: can the processes connect, and how fast is an all-reduce?

The bandwidth given is the bus bandwidth of a ring, 2 (W - 1) / W times bytes / seconds, which can be compared between numbers of
processes W and with the speed of the link (as nccl-tests does). GPUs use NCCL, CPUs gloo.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import torch
import torch.distributed as dist

from ltrec.core.errors import first_line
from ltrec.doctor.finding import Finding, broken, ok, warning
from ltrec.run.process.processes import device_of
from ltrec.run.process.rendezvous_env import Processes

TIMEOUT = timedelta(seconds=120)
_LARGE_BYTES = 16 << 20
_REPEATS = 5
_SLOW_BYTES_PER_S = 0.1e9
"""About what a link of 1 Gbit/s gives, on which the gradient of 10 M parameters takes most of a second."""


@contextmanager
def process_group(processes: Processes) -> Iterator[tuple[list[Finding], bool]]:
    """Join all processes for the time of the checks. Gives the finding about their all-reduce, and whether they joined."""
    try:
        dist.init_process_group("gloo", rank=processes.world.rank, world_size=processes.world.size, timeout=TIMEOUT)
    except (RuntimeError, ValueError) as error:  # torch's time-outs and network errors are RuntimeErrors
        yield [no_group(processes, first_line(error)).named("all-reduce")], False
        return
    try:
        yield [all_reduce_speed(processes).named("all-reduce")], True
    finally:
        dist.destroy_process_group()


def no_group(processes: Processes, reason: str) -> Finding:
    """The processes could not connect."""
    return broken(
        f"{processes.world.size} processes did not connect within {TIMEOUT.seconds} s: {reason}",
        "the machines must reach MASTER_ADDR:MASTER_PORT and each other: check firewalls, or name the interface to use "
        "(GLOO_SOCKET_IFNAME, NCCL_SOCKET_IFNAME)",
    )


def all_reduce_speed(processes: Processes) -> Finding:
    """Time the all-reduce of a small and of a large tensor, and check the sum. Every process calls this."""
    device, size = device_of(processes, "auto"), processes.world.size
    backend = "nccl" if device.type == "cuda" else "gloo"
    group = dist.new_group(backend=backend, timeout=TIMEOUT)
    try:
        seconds = {n: all_reduce_seconds(torch.ones(n // 4, device=device), group) for n in (4, _LARGE_BYTES)}
    except (RuntimeError, ValueError) as error:
        reason = first_line(error)
        return broken(
            f"{backend} over {size} processes: {reason}",
            "set NCCL_DEBUG=INFO for details, NCCL_SOCKET_IFNAME to choose the interface",
        )
    rate = 2 * (size - 1) / size * _LARGE_BYTES / seconds[_LARGE_BYTES]
    says = f"{rate / 1e9:.2f} GB/s over {backend}, {size} processes; {seconds[4] * 1e6:,.0f} us for a single number"
    if rate < _SLOW_BYTES_PER_S:
        return warning(says, "steps will wait for the network: larger batches (stream.batch_rows), or choose a faster interface")
    return ok(says)


def all_reduce_seconds(tensor: torch.Tensor, group: dist.ProcessGroup | None = None) -> float:
    """Seconds of one all-reduce of `tensor` (ones), after two to warm up.

    Raises:
        RuntimeError: the sum is wrong, or an error of torch.
    """
    for _ in range(2):
        tensor.fill_(1)
        dist.all_reduce(tensor, group=group)
    if not bool((tensor == dist.get_world_size()).all()):
        raise RuntimeError("the sum over the processes is wrong")
    tensor.zero_()
    _synchronise(tensor)
    begin = time.perf_counter()
    for _ in range(_REPEATS):
        dist.all_reduce(tensor, group=group)
    _synchronise(tensor)
    return (time.perf_counter() - begin) / _REPEATS


def _synchronise(tensor: torch.Tensor) -> None:
    if tensor.is_cuda:
        torch.cuda.synchronize(tensor.device)
