"""Estimate of a step for a number of processes on a kind of device: memory, bytes, operations, seconds, and what decides."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from ltrec.costs.devices import Device
from ltrec.costs.launches import launches
from ltrec.costs.memory import memory
from ltrec.costs.traffic import messages, traffic
from ltrec.costs.work import work_of
from ltrec.costs.workload import Workload

RESERVED = 0.1
"""Share of a device's memory that libraries, fragments and evaluation need."""


@dataclass(frozen=True, slots=True)
class StepCost:
    """A step on each of W devices.

    Attributes:
        world: W.
        memory: what is held -> bytes.
        traffic: message -> bytes sent.
        launches: operations.
        flops: of matrix products.
        seconds: arithmetic, memory, launches, messages -> seconds if it were alone.
        step: seconds of a step.
    """

    world: int
    memory: Mapping[str, float]
    traffic: Mapping[str, float]
    launches: float
    flops: float
    seconds: Mapping[str, float]
    step: float

    @property
    def held(self) -> float:
        """Bytes of all."""
        return math.fsum(self.memory.values())

    @property
    def sent(self) -> float:
        """Bytes of all."""
        return math.fsum(self.traffic.values())

    @property
    def bottleneck(self) -> str:
        """What takes longest."""
        return max(self.seconds, key=lambda name: self.seconds[name])

    def fits(self, device: Device) -> bool:
        """Whether a device can hold it."""
        return self.held <= (1 - RESERVED) * device.memory


def estimate(work: Workload, device: Device, *, nodes: int = 1, per_node: int = 1) -> StepCost:
    """The costs of a step.

    Messages are not taken to overlap with computing, which they do in part: an upper bound.

    Args:
        work: of a step over all processes.
        device: of each process.
        nodes: machines.
        per_node: processes on each of them.
    """
    world = nodes * per_node
    sent, done = traffic(work, world), work_of(work, world)
    issued = launches(work, world, accelerator=device.queues)
    rate = (device.half_flops if work.half else device.flops) * device.reach
    seconds = {
        "arithmetic": done.flops / rate,
        "memory": done.moved / device.bandwidth + done.elementwise / device.elementwise,
        "launches": issued * device.launch,
        "messages": _messages(work, device, math.fsum(sent.values()), world, nodes),
    }
    computing = seconds["arithmetic"] + seconds["memory"]
    local = max(computing, seconds["launches"]) if device.queues else computing + seconds["launches"]
    return StepCost(world, memory(work, world), sent, issued, done.flops, seconds, local + seconds["messages"])


def _messages(work: Workload, device: Device, sent: float, world: int, nodes: int) -> float:
    """Bytes over the slowest link of the ring, and the latency of each collective, which grows with the depth of a tree."""
    if world == 1:
        return 0.0
    rate = device.network if nodes > 1 else device.link
    return sent / rate + messages(work) * 2 * math.ceil(math.log2(world)) * device.latency
