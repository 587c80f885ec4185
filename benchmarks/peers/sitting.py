"""Cells one after the other, in each the libraries in turn, each in a process of its own and of one thread."""

from __future__ import annotations

import hashlib
import itertools
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.harness.children import say
from benchmarks.harness.ledger import Ledger
from benchmarks.peers import tables
from benchmarks.peers.export import export
from benchmarks.peers.processes import Processes
from benchmarks.peers.tables import Cell, Plan, System
from ltrec.config.load import load
from ltrec.core.storage.canonical import canonical_json
from ltrec.data.manifest import Manifest
from ltrec.data.prepare.pipeline import prepare

PHASE = "peers"


def ledger_in(folder: Path) -> Ledger:
    """The lines of a folder of results, a file per log."""
    return Ledger(folder, "figures")


@dataclass(frozen=True, slots=True)
class Data:
    """A prepared log.

    Attributes:
        folder: the data set.
        table: its users, exported.
        digest: of the data set.
        items: V.
    """

    folder: Path
    table: Path
    digest: str
    items: int

    def job(self, cell: Cell, turn: int) -> dict[str, Any]:
        """What the scripts are told."""
        places = {"histories": str(self.table), "data": str(self.folder)}
        sizes = {"items": self.items, "length": cell.length, "epochs": cell.epochs, "steps": cell.steps, "rows": tables.ROWS}
        return places | sizes | tables.MODEL | {"eval_rows": tables.EVAL_ROWS, "seed": turn}


@dataclass(frozen=True, slots=True)
class Sitting:
    """One call of the command.

    Attributes:
        results: folder of lines.
        logs: folder with NAME/events.parquet.
        processes: that measure; their folder holds the data, too.
    """

    results: Path
    logs: Path
    processes: Processes

    def measure(self, plan: Plan) -> None:
        """Whatever of the plan is not known yet."""
        pythons = {name: self.processes.python(tables.SYSTEMS[name]) for name in plan.systems}
        data = {log: self._data(log) for log in dict.fromkeys(cell.log for cell in plan.cells) if self._there(log)}
        for turn, cell in itertools.product(range(plan.rounds), plan.cells):
            for name, python in pythons.items():
                if python is not None and cell.log in data:
                    self._cell(cell, turn, name, python, data[cell.log])

    def _there(self, log: str) -> bool:
        """Whether the log can be measured; otherwise this is said."""
        events = self.logs / log / "events.parquet"
        if not events.exists():
            say(f"SKIPPED {log}: there is no {events}")
        return events.exists()

    def _cell(self, cell: Cell, turn: int, name: str, python: Path, data: Data) -> None:
        job = data.job(cell if name in tables.OTHERS else replace(cell, steps=0), turn) | tables.SYSTEMS[name].job
        key = key_of(job, data.digest, tables.SYSTEMS[name])
        ledger, label = ledger_in(self.results), f"{cell.name}, round {turn}, {name}"
        if ledger.find(cell.log, PHASE, key):
            return
        say(f"{label} begins")
        found = self.processes.figures(tables.SYSTEMS[name], python, job, label)
        if found is not None:
            names = {"phase": PHASE, "data": cell.log, "length": cell.length, "system_name": name, "round": turn, "key": key}
            ledger.add({**names, "steps": job["steps"], **found})

    def _data(self, log: str) -> Data:
        """The log prepared, and what the scripts read."""
        folder, table = self.processes.out / "data" / log, self.processes.out / "data" / f"{log}.parquet"
        words = [f"prepare.sources=[{self.logs / log / 'events.parquet'}]", f"prepare.name={log}"]
        prepare(load([], [*words, *tables.PREPARE[log]]).prepare, folder)
        return Data(folder.absolute(), table.absolute(), Manifest.load(folder).digest, export(folder, table))


def key_of(job: dict[str, Any], data: str, system: System) -> str:
    """What a line is known by: sizes, data, and what is in the library's environment; not places."""
    sizes = {name: value for name, value in job.items() if name not in ("histories", "data")}
    pins = system.requirements.read_text() if system.requirements else ""
    return hashlib.sha256(canonical_json([sizes, data, system.title, pins]).encode()).hexdigest()[:16]
