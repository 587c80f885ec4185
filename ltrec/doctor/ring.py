"""`ltrec doctor` under torchrun: do the processes find each other, and how fast do they add?

Bandwidth is that of a ring's busiest link, 2 (W - 1) / W times the bytes over the seconds, so figures of different W compare with
each other and with the link's own. On GPUs the tensor travels over NCCL, else over gloo.
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
from ltrec.run.process.processes import Processes, device_of

PATIENCE = timedelta(seconds=120)
_LARGE_BYTES = 16 << 20
_TURNS = 5
_SLOW = 0.1e9
"""Bytes a second: a tenth of a gigabyte is a 1 Gbit/s cable, on which the gradient of 10 M parameters takes most of a second."""


@contextmanager
def meeting(processes: Processes) -> Iterator[tuple[list[Finding], bool]]:
    """The processes' group for the time of the examination, with what was found about it, and whether it came to be."""
    try:
        dist.init_process_group("gloo", rank=processes.world.rank, world_size=processes.world.size, timeout=PATIENCE)
    except (RuntimeError, ValueError) as error:  # torch's own time-outs and network errors are among the former
        yield [lonely(processes, first_line(error)).named("all-reduce")], False
        return
    try:
        yield [measured(processes).named("all-reduce")], True
    finally:
        dist.destroy_process_group()


def lonely(processes: Processes, reason: str) -> Finding:
    """The group did not come to be."""
    return broken(
        f"{processes.world.size} processes did not meet within {PATIENCE.seconds} s: {reason}",
        "the machines must reach MASTER_ADDR:MASTER_PORT and each other: look at firewalls, and name the interface that joins them "
        "(GLOO_SOCKET_IFNAME, NCCL_SOCKET_IFNAME)",
    )


def measured(processes: Processes) -> Finding:
    """Add a small and a large tensor over all processes, check the sum, and take the time. All processes call it."""
    device, size = device_of(processes, "auto"), processes.world.size
    backend = "nccl" if device.type == "cuda" else "gloo"
    group = dist.new_group(backend=backend, timeout=PATIENCE)
    try:
        seconds = {n: seconds_to_add(torch.ones(n // 4, device=device), group) for n in (4, _LARGE_BYTES)}
    except (RuntimeError, ValueError) as error:
        reason = first_line(error)
        return broken(
            f"{backend} over {size} processes: {reason}", "NCCL_DEBUG=INFO tells more; NCCL_SOCKET_IFNAME names the interface"
        )
    rate = 2 * (size - 1) / size * _LARGE_BYTES / seconds[_LARGE_BYTES]
    says = f"{rate / 1e9:.2f} GB/s over {backend}, {size} processes; {seconds[4] * 1e6:,.0f} us for one number"
    if rate < _SLOW:
        return warning(says, "steps will wait for the network: larger batches (stream.batch_rows), or name a faster interface")
    return ok(says)


def seconds_to_add(tensor: torch.Tensor, group: dist.ProcessGroup | None = None) -> float:
    """Seconds of one all-reduce of `tensor` (ones), after two to warm up.

    Raises:
        RuntimeError: the sum is wrong, or torch's own trouble.
    """
    for _ in range(2):
        tensor.fill_(1)
        dist.all_reduce(tensor, group=group)
    if not bool((tensor == dist.get_world_size()).all()):
        raise RuntimeError("the sum over the processes is wrong")
    tensor.zero_()
    _synchronise(tensor)
    begin = time.perf_counter()
    for _ in range(_TURNS):
        dist.all_reduce(tensor, group=group)
    _synchronise(tensor)
    return (time.perf_counter() - begin) / _TURNS


def _synchronise(tensor: torch.Tensor) -> None:
    if tensor.is_cuda:
        torch.cuda.synchronize(tensor.device)
