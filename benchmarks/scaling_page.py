"""The tables of docs/scaling.md, made by what `ltrec plan` computes with.

python -m benchmarks.scaling_page            writes them into the page
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from ltrec.cli.plan_tables import shown_bytes, shown_seconds
from ltrec.config.load import load
from ltrec.core.storage.atomic import atomic_write_text
from ltrec.costs.devices import DEVICES
from ltrec.costs.distinct import expected_distinct
from ltrec.costs.estimate import StepCost, estimate
from ltrec.costs.workload import Workload
from ltrec.run.build.touched import MOST_BY_STRATUM, MOST_JOINT
from ltrec.run.build.workload import workload_of

PAGE = Path(__file__).parents[1] / "docs" / "scaling.md"
BEGIN, END = "<!-- made by benchmarks/scaling_page.py -->", "<!-- end -->"

ITEMS = tuple(10**n for n in range(4, 9))
WORLDS = (1, 8, 64, 256, 1024)
PER_NODE, ROWS, MEAN = 8, 128, 37
"""Processes of a node; sequences of a process, and their positions on average."""

DEVICE = DEVICES["h100"]
MODES = {
    "joint": ("gradients.name=joint",),
    "weighted": ("gradients.name=stratified", "gradients.mode=weighted"),
    "per_stratum": ("gradients.name=stratified",),
    "Gram rule": ("gradients.name=stratified", "gradients.rule.name=upgrad"),
}
LETTERS = {"arithmetic": "a", "memory": "m", "launches": "l", "messages": "s"}
ENGINES = {"ddp": "weighted", "fsdp2": "weighted", "deepspeed_stage_1": "weighted", "deepspeed_stage_3": "weighted"}


def workload(mode: str, items: int, world: int) -> Workload:
    """SASRec of width 64, two blocks, 256 shared negatives, K = 5; a process has 128 sequences of 37 positions."""
    words = ["objective.scope=shared", "stream.max_len=50", "model.dropout=0.2", *MODES[mode]]
    work, _ = workload_of(load([], words), None, items=items)
    positions = ROWS * world * MEAN
    touched = expected_distinct(2 * positions, items) + 256
    most = MOST_JOINT if mode == "joint" else MOST_BY_STRATUM
    return replace(
        work,
        rows=ROWS * world,
        positions=positions,
        largest_stratum=1 / 5,
        touched=touched if touched <= most * items else None,
        engine="one" if world == 1 else "ddp",
    )


def estimated(work: Workload, world: int) -> StepCost:
    """On nodes of eight devices."""
    return estimate(work, DEVICE, nodes=max(1, world // PER_NODE), per_node=min(world, PER_NODE))


def tables() -> str:
    """All tables of the page."""
    found = {
        (mode, items, world): estimated(workload(mode, items, world), world)
        for mode in MODES
        for items in ITEMS
        for world in WORLDS
    }
    parts = [
        "### Seconds of a step",
        _grid(found, lambda it: f"{shown_seconds(it.step)} {LETTERS[it.bottleneck]}"),
        "### Bytes that a process sends in a step",
        _grid(found, lambda it: shown_bytes(it.sent) if it.sent else ""),
        "### Memory of a device",
        _grid(found, lambda it: shown_bytes(it.held) + ("" if it.fits(DEVICE) else " !")),
        "### Operations that a step launches",
        _launches(found),
        "### A hundred million items, by strategy",
        _strategies(),
    ]
    return "\n\n".join(parts)


def _grid(found: dict[tuple[str, int, int], StepCost], cell: Callable[[StepCost], str]) -> str:
    rows = ([mode, _power(items), *(cell(found[mode, items, world]) for world in WORLDS)] for mode in MODES for items in ITEMS)
    return table(["mode", "items", *(f"W = {world:,}" for world in WORLDS)], rows)


def _launches(found: dict[tuple[str, int, int], StepCost]) -> str:
    rows = ([mode, *(f"{found[mode, items, 1].launches:,.0f}" for items in ITEMS)] for mode in MODES)
    return table(["mode, W = 1", *map(_power, ITEMS)], rows)


def _strategies() -> str:
    return table(["strategy, `weighted`", "", *(f"W = {world:,}" for world in WORLDS[1:])], _of_strategies())


def _of_strategies() -> Iterator[list[str]]:
    for engine, mode in ENGINES.items():
        made = []
        for world in WORLDS[1:]:
            work = workload(mode, ITEMS[-1], world)
            work = work if engine == "ddp" else replace(work, engine=engine, touched=None)
            made.append(estimated(work, world))
        yield [f"`{engine}`", "memory", *(shown_bytes(it.held) + ("" if it.fits(DEVICE) else " !") for it in made)]
        yield ["", "bytes sent", *(shown_bytes(it.sent) for it in made)]
        yield ["", "seconds", *(f"{shown_seconds(it.step)} {LETTERS[it.bottleneck]}" for it in made)]


def table(head: Sequence[str], rows: Iterator[list[str]]) -> str:
    """Markdown; numbers to the right."""
    lines = [head, ["---", *["--:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _power(number: int) -> str:
    return f"10^{len(str(number)) - 1}"


def page(text: str) -> str:
    """The page with its tables made anew."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{tables()}\n\n{END}{after}"


if __name__ == "__main__":
    atomic_write_text(PAGE, page(PAGE.read_text(encoding="utf-8")))
