"""`ltrec plan CONF.yaml... key=value...`: what a step of a run costs on machines that one does not have yet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

import ltrec
from ltrec.cli.options import AsJson, Conf
from ltrec.core.extension.deferred import Deferred
from ltrec.terminal.screen import open_screen

if TYPE_CHECKING:
    from ltrec.cli.plan_tables import print_plan
else:
    print_plan = Deferred("ltrec.cli.plan_tables:print_plan")

_OWN = "Rates of your own"


def plan(
    conf: Conf,
    nodes: Annotated[int, typer.Option(min=1, help="Machines.")] = 1,
    gpus_per_node: Annotated[int, typer.Option(min=0, help="GPUs of each; 0 = one process on a CPU.")] = 0,
    items: Annotated[int, typer.Option(min=0, help="Size of the catalogue; 0 = the data set's.")] = 0,
    device: Annotated[str, typer.Option(help="cpu-core, l4, a100, h100 or h200; default: a100, or cpu-core without GPUs.")] = "",
    flops: Annotated[float, typer.Option(min=0, help="float32 operations per second.", rich_help_panel=_OWN)] = 0.0,
    bandwidth: Annotated[float, typer.Option(min=0, help="Bytes per second through memory.", rich_help_panel=_OWN)] = 0.0,
    link: Annotated[float, typer.Option(min=0, help="Bytes per second from device to device.", rich_help_panel=_OWN)] = 0.0,
    as_json: AsJson = False,
) -> None:
    """Estimate a training step: parameters, memory of a device, bytes, operations, seconds, what will not fit and the way out.

    Nothing is trained and no device is needed. With a prepared data set its lengths, strata and popularity count; without one, or
    for a catalogue of another size (--items), upper bounds do.
    """
    with open_screen(for_scripts=as_json) as screen:
        found = ltrec.plan(
            *conf,
            nodes=nodes,
            gpus_per_node=gpus_per_node,
            items=items,
            device=device,
            flops=flops,
            bandwidth=bandwidth,
            link=link,
        )
        print_plan(found, screen)
        screen.print_json(found.to_dict())
