"""Cells one after the other, in each the libraries in turn, each in a process of its own and of one thread."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import platform
import shutil
import subprocess
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from benchmarks.harness.children import say
from benchmarks.harness.ledger import Ledger, Line
from benchmarks.peers import tables
from benchmarks.peers.environment import TORCH_INDEX, default_folder, python_of
from benchmarks.peers.export import export
from benchmarks.peers.tables import Cell, Plan, System
from ltrec.config.load import load
from ltrec.core.storage.canonical import canonical_json
from ltrec.data.manifest import Manifest
from ltrec.data.prepare.pipeline import prepare

PHASE = "peers"
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "ARROW_NUM_THREADS"), "1")


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


@dataclass(slots=True)
class Sitting:
    """One call of the command.

    Attributes:
        results: folder of lines.
        out: folder for data and jobs.
        logs: folder with NAME/events.parquet.
        environments: folder of environments.
        torch_index: where their torch is taken from.
        failed: what went wrong.
    """

    results: Path
    out: Path
    logs: Path
    environments: Path = field(default_factory=default_folder)
    torch_index: str = TORCH_INDEX
    failed: list[str] = field(default_factory=list)

    def measure(self, plan: Plan) -> None:
        """Whatever of the plan is not known yet."""
        pythons = {name: self._python(tables.SYSTEMS[name]) for name in plan.systems}
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

    def _python(self, system: System) -> Path | None:
        if system.requirements is None:
            return Path(sys.executable)
        return python_of(system.requirements.absolute(), self.environments, self.torch_index)

    def _cell(self, cell: Cell, turn: int, name: str, python: Path, data: Data) -> None:
        job = data.job(replace(cell, steps=0) if name == tables.OWN else cell, turn)
        key = key_of(job, data.digest, tables.SYSTEMS[name])
        ledger, label = ledger_in(self.results), f"{cell.name}, round {turn}, {name}"
        if ledger.find(cell.log, PHASE, key):
            return
        say(f"{label} begins")
        found = self._figures(tables.SYSTEMS[name], python, job, label)
        if found is not None:
            names = {"phase": PHASE, "data": cell.log, "length": cell.length, "system_name": name, "round": turn, "key": key}
            machine = f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
            ledger.add({**names, "steps": job["steps"], "machine": machine, **found})

    def _data(self, log: str) -> Data:
        """The log prepared, and what the scripts read."""
        folder, table = self.out / "data" / log, self.out / "data" / f"{log}.parquet"
        words = [f"prepare.sources=[{self.logs / log / 'events.parquet'}]", f"prepare.name={log}"]
        prepare(load([], [*words, *tables.PREPARE[log]]).prepare, folder)
        return Data(folder.absolute(), table.absolute(), Manifest.load(folder).digest, export(folder, table))

    def _figures(self, system: System, python: Path, job: dict[str, Any], label: str) -> Line | None:
        """The last line that a script prints."""
        work = self.out / "work"
        shutil.rmtree(work, ignore_errors=True)
        (work / "inside").mkdir(parents=True)
        place = work / "job.json"
        place.write_text(json.dumps(job | {"folder": str((work / "inside").absolute()), "parent": os.getpid()}))
        environment = os.environ | ONE_THREAD
        if system.requirements is not None:
            environment.pop("PYTHONPATH", None)
        with (self.out / "log.txt").open("w") as log:
            words = [str(python), str(system.script), str(place.absolute())]
            done = subprocess.run(words, stdout=subprocess.PIPE, stderr=log, text=True, env=environment)
        lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
        if done.returncode or not lines:
            say(f"FAILED {label}: exit code {done.returncode}; the log is {self.out / 'log.txt'}")
            self.failed.append(label)
            return None
        found: Line = json.loads(lines[-1])
        say(f"{label}: {found}")
        return found


def key_of(job: dict[str, Any], data: str, system: System) -> str:
    """What a line is known by: sizes, data, and what is in the library's environment; not places."""
    sizes = {name: value for name, value in job.items() if name not in ("histories", "data")}
    pins = system.requirements.read_text() if system.requirements else ""
    return hashlib.sha256(canonical_json([sizes, data, system.title, pins]).encode()).hexdigest()[:16]
