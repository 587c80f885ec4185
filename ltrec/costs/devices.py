"""Constants of devices. Those of accelerators are declared: peak rates of the makers' data sheets, not measured here.

`cpu-core` is one hyperthread of the machine that ltrec was measured on (`make bench-plan` prints yours). No step reaches the peak
of matrix products; what share of it counts is `reach`: an assumption for accelerators, for `cpu-core` fitted to one step (joint
training, 10^4 items).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True, slots=True)
class Device:
    """Rates of one device, per second.

    Attributes:
        name: key in DEVICES.
        flops: float32 operations of matrix products (TF32 is not used).
        half_flops: the same of 16-bit factors.
        bandwidth: bytes read and written in memory.
        elementwise: bytes of operations element by element, which on a CPU compute longer than they move (dropout, exponentials).
        link: bytes to another device of the node, one direction.
        network: bytes to another node, per device, one direction.
        launch: seconds for the host to issue one operation, Python included.
        latency: seconds of a message between neighbours.
        memory: bytes.
        queues: whether operations are issued ahead, so that issuing and computing overlap.
        source: where the constants are from.
        reach: share of `flops` that counts.
    """

    name: str
    flops: float
    half_flops: float
    bandwidth: float
    elementwise: float
    link: float
    network: float
    launch: float
    latency: float
    memory: float
    queues: bool
    source: str
    reach: float = 1.0


def _accelerator(
    name: str, tera: tuple[float, float], tera_bytes: float, giga: tuple[float, float], gigabytes: int, source: str
) -> Device:
    """Peak TFLOP/s in float32 and in bfloat16 (dense), memory in TB/s, link and network in GB/s, and memory in GB."""
    return Device(
        name,
        flops=tera[0] * 1e12,
        half_flops=tera[1] * 1e12,
        bandwidth=tera_bytes * 1e12,
        elementwise=tera_bytes * 1e12,
        link=giga[0] * 1e9,
        network=giga[1] * 1e9,
        launch=10e-6,
        latency=10e-6,
        memory=gigabytes * 1e9,
        queues=True,
        source=source,
        reach=0.5,
    )


_ROWS = (
    Device(
        "cpu-core",
        flops=85e9,
        half_flops=85e9,
        bandwidth=60e9,
        elementwise=13e9,
        link=1e9,
        network=1.25e9,
        launch=9e-6,
        latency=50e-6,
        memory=4e9,
        queues=False,
        source="measured: one thread of a shared x86-64 server with AVX-512 (benchmarks/LOG.md); network: 10 Gb/s",
        reach=0.55,
    ),
    _accelerator("l4", (30.3, 121), 0.30, (32, 12.5), 24, "NVIDIA L4 data sheet; PCIe 4.0 x16; network 100 Gb/s per device"),
    _accelerator("a100", (19.5, 312), 2.039, (300, 25), 80, "NVIDIA A100 80GB SXM data sheet; network 200 Gb/s per device"),
    _accelerator("h100", (67, 989), 3.35, (450, 50), 80, "NVIDIA H100 SXM data sheet; network 400 Gb/s per device"),
    _accelerator("h200", (67, 989), 4.8, (450, 50), 141, "NVIDIA H200 SXM data sheet; network 400 Gb/s per device"),
)

DEVICES: dict[str, Device] = {device.name: device for device in _ROWS}
"""name -> device."""


def overridden(device: Device, rates: Mapping[str, float | None]) -> Device:
    """A device with the user's rates; a link holds between nodes, too."""
    given = {name: rate for name, rate in rates.items() if rate}
    changes: dict[str, Any] = {name: rate for name, rate in given.items() if name != "link"}
    if "flops" in given:
        changes |= {"half_flops": given["flops"], "reach": 1.0}
    if "bandwidth" in given:
        changes["elementwise"] = given["bandwidth"] * device.elementwise / device.bandwidth
    if "link" in given:
        changes |= {"link": given["link"], "network": given["link"]}
    return replace(device, **changes) if changes else device
