"""`ltrec.plan`: what a training step would cost on other machines: parameters, memory, bytes, operations, seconds."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ltrec.api.load_config import settled
from ltrec.api.session import session
from ltrec.api.settings import Setting
from ltrec.config.tree import RunConfig
from ltrec.core.bounds import Between
from ltrec.core.errors import UserError, nearest
from ltrec.costs.advice import Advice, advise
from ltrec.costs.devices import DEVICES, Device, overridden
from ltrec.costs.estimate import StepCost, estimate
from ltrec.costs.workload import Workload
from ltrec.run.build.components import Data, open_data
from ltrec.run.build.workload import workload_of
from ltrec.run.build.world_size import check_world

_RATE = Between(0, 1e30)
_BOUNDS = {
    "nodes": Between(1, 10**6),
    "gpus_per_node": Between(0, 10**6),
    "items": Between(0, 10**12),
    "flops": _RATE,
    "bandwidth": _RATE,
    "link": _RATE,
}


@dataclass(frozen=True, slots=True)
class StepPlan:
    """A step on paper.

    Attributes:
        work: what the step has to do.
        device: of each process, with its constants.
        estimate: memory, traffic, launches and seconds.
        fits: whether a device holds it, with a tenth to spare.
        advice: settings that help.
        remarks: what was assumed, and which rows take part.
        refused: why a run would be refused on so many processes; None if it would not.
    """

    work: Workload
    device: Device
    estimate: StepCost
    fits: bool
    advice: tuple[Advice, ...]
    remarks: tuple[str, ...]
    refused: str | None

    def to_dict(self) -> dict[str, Any]:
        """What `--json` prints."""
        found = self.estimate
        return {
            "processes": found.world,
            "device": asdict(self.device),
            "parameters": {name: getattr(self.work, name) for name in ("table", "dense", "plugins")},
            "touched_rows": self.work.touched,
            "mode": self.work.mode,
            "source": self.work.source,
            "engine": self.work.engine,
            "memory": {**found.memory, "all": found.held},
            "fits": self.fits,
            "traffic": {**found.traffic, "all": found.sent},
            "launches": found.launches,
            "flops": found.flops,
            "seconds": {**found.seconds, "step": found.step},
            "bottleneck": found.bottleneck,
            "advice": [asdict(advice) for advice in self.advice],
            "remarks": list(self.remarks),
            "refused": self.refused,
        }


def plan(
    *settings: Setting,
    nodes: int = 1,
    gpus_per_node: int = 0,
    items: int = 0,
    device: str = "",
    flops: float = 0.0,
    bandwidth: float = 0.0,
    link: float = 0.0,
    data: str | os.PathLike[str] | Mapping[str, Any] | None = None,
    **overrides: Any,
) -> StepPlan:
    """Estimate a training step of a run on so many devices. Nothing is trained; a data set is read if there is one.

        ltrec.plan("conf/method/pin.yaml", nodes=4, gpus_per_node=8, items=10**7).estimate.bottleneck

    Args:
        settings: as of `train`.
        nodes: machines.
        gpus_per_node: a process for each; 0 = one process on a CPU.
        items: size of the catalogue; 0 = the data set's.
        device: a name of `ltrec.costs.devices.DEVICES`; empty = a100 or, without GPUs, cpu-core.
        flops: float32 operations per second in place of the device's.
        bandwidth: bytes per second through memory, likewise.
        link: bytes per second from one device to another, likewise.
        data: as of `train`.
        overrides: as of `train`.

    Raises:
        UserError: settings that cannot work, a number out of bounds, an unknown device, neither a data set nor a number of items.
    """
    rates = {"flops": flops, "bandwidth": bandwidth, "link": link}
    _check(nodes=nodes, gpus_per_node=gpus_per_node, items=items, **rates)
    with session(progress=False) as call:
        config = settled(*settings, data=data, where=call.where, **overrides)
        name = device or ("a100" if gpus_per_node else "cpu-core")
        if name not in DEVICES:
            raise UserError(f"device {name!r} is unknown{nearest(name, DEVICES)}; choose from {', '.join(DEVICES)}")
        where = overridden(DEVICES[name], rates)
        return _plan(config, where, nodes, max(1, gpus_per_node), items)


def _check(**numbers: float) -> None:
    for name, number in numbers.items():
        if fault := _BOUNDS[name].fault(number):
            raise UserError(f"{name} {fault}")


def _plan(config: RunConfig, device: Device, nodes: int, per_node: int, items: int) -> StepPlan:
    work, remarks = workload_of(config, _data(config, items), items=items, world=nodes * per_node, launches_cost=device.queues)
    found = estimate(work, device, nodes=nodes, per_node=per_node)
    advice = advise(work, device, found, nodes=nodes, per_node=per_node)
    refused = _refusal(config, found.world)
    return StepPlan(work, device, found, found.fits(device), tuple(advice), tuple(remarks), refused)


def _data(config: RunConfig, items: int) -> Data | None:
    """The data set; None where it is not there and none is needed."""
    try:
        return open_data(config)
    except UserError:
        if config.data.path and not items:
            raise
        return None


def _refusal(config: RunConfig, world: int) -> str | None:
    try:
        check_world(config, world)
    except UserError as error:
        return str(error)
    return None
