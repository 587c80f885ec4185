"""ltrec's stream beside RePlay's, Hugging Face `datasets`' and LitData's, with short histories and with long ones.

    python -m benchmarks.peers.streaming [--setups short,long] [--users 200000] [--rounds 3] [--peers replay,datasets,litdata]

The same users' training events; every library, in an environment of its own, gives batches [512, L + 1] of ids, the last events of
a user to the right, each user once, shuffled. That they are the same users is checked by number and sum. `short` has 12 events a
user, the median 8, and L = 50, as logs of shops have; `long` has 80 and L = 200. Libraries take turns; ratios are of runs in the
same round. `users_per_cpu_s` is of the cheaper of two passes after the first; `first` is the first pass with all that comes before
it once: opening, and ltrec's hashes.

ltrec reads through its lanes, as it does where data are large: two buffers of each, 65,536 users together, as the buffers of RePlay
and datasets hold; and as `resident` with its defaults, which keep data as small as these in memory after the first pass. RePlay and
datasets read a table of row groups of 65,536 users as pyarrow writes it, and another time, `packed`, one in the encodings that
ltrec writes its shards in; the better one counts. LitData reads what it wrote, in the first round alone. The last step of ltrec
is filled with users of the next pass, who do not count.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console
from rich.table import Table

from benchmarks.harness.children import say
from benchmarks.harness.ledger import Line
from benchmarks.peers.environment import TORCH_INDEX, default_folder
from benchmarks.peers.processes import Processes
from benchmarks.peers.tables import HERE, OWN, System
from ltrec.core import columns as c
from ltrec.core.storage.atomic import atomic_path, atomic_write_text
from ltrec.data.fetch import SyntheticConfig, fetch_synthetic
from ltrec.data.prepare.config import PrepareConfig
from ltrec.data.prepare.pipeline import prepare

ROWS, PASSES, LEAST = 512, 2, 1.5
GROUP = 1 << 16
MOST_BLOCK_ROWS = 4096
"""What `ltrec prepare` takes unless told otherwise; fewer only where the lanes would have too few blocks."""
RESIDENT = "resident"
PLAIN, PACKED = "table", "packed"
WRITTEN: dict[str, dict[str, Any]] = {
    PLAIN: {},
    PACKED: {"compression": "zstd", "use_dictionary": False, "column_encoding": {"items.list.element": "DELTA_BINARY_PACKED"}},
}
"""The tables and how they are written."""
RESULTS = HERE / "results" / "streams.json"


@dataclass(frozen=True, slots=True)
class Setup:
    """Events of a user on average, and columns of a batch: L + 1."""

    events: float
    columns: int


SETUPS = {"short": Setup(12.0, 51), "long": Setup(80.0, 201)}


@dataclass(frozen=True, slots=True)
class Stream:
    """A library, which tables it reads, and whether it is measured in the first round alone."""

    system: System
    tables: tuple[str, ...] = (PLAIN,)
    once: bool = False


def _stream(title: str, name: str, requirements: str = "", **more: Any) -> Stream:
    pins = HERE / "requirements" / f"{requirements}.txt" if requirements else None
    return Stream(System(title, HERE / "inside" / f"stream_{name}.py", pins), **more)


STREAMS = {
    OWN: _stream("ltrec, through its lanes", "ltrec"),
    RESIDENT: _stream("ltrec, in memory where it fits", "resident"),
    "replay": _stream("RePlay's Parquet data set", "replay", "replay", tables=(PLAIN, PACKED)),
    "datasets": _stream("Hugging Face datasets", "datasets", "stream-datasets", tables=(PLAIN, PACKED)),
    "litdata": _stream("LitData", "litdata", "stream-litdata", once=True),
}


def write_users(users: int, setup: Setup, out: Path) -> tuple[int, int]:
    """A prepared data set in `out`/data, and its users in tables beside it, in another order.

    Returns:
        Number of users to train on, and the sum of the ids that a pass over them gives.
    """
    events = fetch_synthetic(SyntheticConfig(users=users, items=20_000, events_per_user=setup.events), out / "log")
    config = PrepareConfig(name="stream", sources=(str(events),), block_rows=min(MOST_BLOCK_ROWS, max(16, users // 24)))
    manifest = prepare(config, out / "data")
    histories = [history for shard in manifest.shards if shard.trainable for history in _histories(out / "data" / shard.path)]
    order = np.random.default_rng(0).permutation(len(histories))
    table = pa.table({"items": pa.array([histories[user] for user in order], pa.list_(pa.int64()))})
    for name, options in WRITTEN.items():
        (out / name).mkdir(exist_ok=True)
        with atomic_path(out / name / "users.parquet") as temporary:
            pq.write_table(table, temporary, row_group_size=GROUP, **options)
    return len(histories), sum(int(history[-setup.columns :].sum()) for history in histories)


def _histories(shard: Path) -> list[Any]:
    """Training events of the users of a shard."""
    table = pq.read_table(shard, columns=[c.ITEMS, c.TRAIN_EVENTS])
    lists = table[c.ITEMS].combine_chunks()
    items, starts = lists.values.to_numpy().astype(np.int64), lists.offsets.to_numpy()
    return [items[start : start + count] for start, count in zip(starts, table[c.TRAIN_EVENTS].to_numpy(), strict=False)]


def compare(setups: list[str], users: int, rounds: int, names: list[str], processes: Processes) -> Iterator[dict[str, Any]]:
    """Measure them in turn; the figures after every round."""
    pythons = {name: processes.python(STREAMS[name].system) for name in names}
    folders = {setup: (processes.out / "stream" / f"{setup}-{users}").absolute() for setup in setups}
    written = {setup: write_users(users, SETUPS[setup], folder) for setup, folder in folders.items()}
    found: dict[str, dict[str, list[Line]]] = {setup: {} for setup in setups}
    for turn in range(rounds):
        for name, python in pythons.items():
            asked = [(setup, table) for setup in setups for table in STREAMS[name].tables]
            if python is None or (turn and STREAMS[name].once):
                continue
            jobs = [_job(folders[setup], table, SETUPS[setup].columns, turn) for setup, table in asked]
            line = processes.figures(STREAMS[name].system, python, {"jobs": jobs}, f"round {turn}, {name}")
            if line is None:
                continue
            for (setup, kind), cell in zip(asked, line["cells"], strict=True):
                label = name if kind == PLAIN else f"{name}-{kind}"
                if why := refusal(cell, *written[setup]):
                    say(f"FAILED {setup}, {label}: {why}")
                    processes.failed.append(f"{setup}, {label}")
                else:
                    own = {"round": turn, "system": line["system"], "machine": line["machine"]}
                    found[setup].setdefault(label, []).append({**own, **cell})
        cells = {
            setup: {"users": count, "columns": SETUPS[setup].columns, **summary(count, found[setup])}
            for setup, (count, _) in written.items()
        }
        yield {"benchmark": "stream-peers", "least": LEAST, "setups": cells}


def _job(folder: Path, table: str, columns: int, turn: int) -> dict[str, Any]:
    places = {"table": str(folder / table), "data": str(folder / "data"), "kept": str(folder)}
    return {**places, "rows": ROWS, "columns": columns, "passes": PASSES, "seed": turn}


def refusal(line: Line, users: int, ids: int) -> str:
    """Why this is not the same output."""
    if (line["users"], line["ids"]) != (users, ids):
        return f"{line['users']} users and a sum of {line['ids']} instead of {users} and {ids}"
    return "two passes begin alike: nothing was shuffled" if len(set(line["firsts"])) < len(line["firsts"]) else ""


def summary(users: int, found: dict[str, list[Line]]) -> dict[str, Any]:
    """Users per processor second and ratios to the project's lanes in the same round, medians; `reached` is the best other's."""
    systems: dict[str, Any] = {}
    for name, lines in found.items():
        systems[name] = {
            "system": lines[0]["system"],
            "users_per_cpu_s": round(users / statistics.median(min(line["seconds"]) for line in lines)),
            "times_ltrec_s": _ratio(lines, found.get(OWN, []), lambda line: min(line["seconds"])),
            "times_first_s": _ratio(lines, found.get(OWN, []), lambda line: line["first"]),
            "peak_mib": round(statistics.median(line["peak_mib"] for line in lines)),
            "rounds": len(lines),
            "machine": lines[-1]["machine"],
        }
    others = {name: figures for name, figures in systems.items() if name not in (OWN, RESIDENT)}
    best = min((one["times_ltrec_s"] for one in others.values() if one["times_ltrec_s"]), default=None)
    warm = {name for name in others if name.endswith(f"-{PACKED}")}  # second in its process, whose libraries are loaded by then
    first = min((one["times_first_s"] for name, one in others.items() if one["times_first_s"] and name not in warm), default=None)
    return {"systems": systems, "reached": best, "reached_first": first}


def _ratio(lines: list[Line], own: list[Line], cost: Any) -> float | None:
    """Of runs in the same round, the median."""
    by_round = {line["round"]: cost(line) for line in own}
    ratios = [cost(line) / by_round[line["round"]] for line in lines if line["round"] in by_round]
    return round(statistics.median(ratios), 3) if ratios else None


def table(setups: dict[str, Any]) -> Table:
    """All systems."""
    made = Table("", "system", "users a CPU second", "times ltrec's seconds", "first pass", "peak MiB")
    for setup, cell in setups.items():
        for name, line in cell["systems"].items():
            figures = (f"{line['users_per_cpu_s']:,}", line["times_ltrec_s"], line["times_first_s"], line["peak_mib"])
            made.add_row(setup, f"{name} ({line['system']})", *map(str, figures))
        made.add_section()
    return made


def main() -> int:
    """Measure, print a table, keep the figures; the last line is one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--setups", default=",".join(SETUPS), help="by comma")
    parser.add_argument("--users", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peers", default=",".join(name for name in STREAMS if name not in (OWN, RESIDENT)), help="by comma")
    parser.add_argument("--out", type=Path, default=Path("runs/peers"), help="folder for data and jobs")
    parser.add_argument("--environments", type=Path, default=default_folder(), help="folder of environments")
    parser.add_argument("--torch-index", default=TORCH_INDEX, help="where torch is taken from")
    parser.add_argument("--results", type=Path, default=RESULTS, help="file for the figures")
    options = parser.parse_args()
    processes = Processes(options.out, options.environments, options.torch_index)
    options.results.parent.mkdir(parents=True, exist_ok=True)
    figures: dict[str, Any] = {}
    names = [OWN, RESIDENT, *options.peers.split(",")]
    for figures in compare(options.setups.split(","), options.users, options.rounds, names, processes):  # the last
        atomic_write_text(options.results, json.dumps(figures, indent=1) + "\n")
    Console(width=132).print(table(figures["setups"]))
    print(json.dumps(figures))
    return 1 if processes.failed else 0


if __name__ == "__main__":
    sys.exit(main())
