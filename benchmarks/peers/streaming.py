"""ltrec's stream beside RePlay's, Hugging Face `datasets`' and LitData's: `python benchmarks/stream.py --peers`

    python -m benchmarks.peers.streaming [--users 200000] [--rounds 3] [--peers replay,datasets,litdata]

The same users' training events; every library, in an environment of its own, gives batches [512, 201] of ids, the last events of a
user to the right, each user once, shuffled. That they are the same users is checked by number and sum before the clock runs.
Measured: users per processor second of the cheaper of two passes, and peak memory; libraries take turns, and ratios are of runs in
the same round. Users have 80 events on average, and row groups 4,096 of ltrec's users and 65,536 of the others' table. What is
done once in a run, opening data and verifying its hashes, is done before the clock runs for all. ltrec reads through its lanes, as
it does where data are large: two buffers of each, 65,536 users together, as the buffers of RePlay and datasets hold; and as
`resident` with its defaults, which keep data as small as these in memory after the first pass. ltrec's last step is filled with
users of the next pass, who do not count.

Every library reads the files that it, or pyarrow, writes unless told otherwise: ltrec's are packed by differences, the table is
not. `--packed` writes the table as ltrec writes its shards, for RePlay and datasets to read.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

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

EVENTS, COLUMNS, ROWS, PASSES, LEAST = 80, 201, 512, 2, 1.5
GROUP = 1 << 16
MOST_BLOCK_ROWS = 4096
"""What `ltrec prepare` takes unless told otherwise; fewer only where the lanes would have too few blocks."""
RESIDENT = "resident"
PACKED = {"compression": "zstd", "use_dictionary": False, "column_encoding": {"items.list.element": "DELTA_BINARY_PACKED"}}
RESULTS = HERE / "results" / "streams.json"


def _system(title: str, name: str, requirements: str) -> System:
    return System(
        title, HERE / "inside" / f"stream_{name}.py", HERE / "requirements" / f"{requirements}.txt" if requirements else None
    )


STREAMS = {
    OWN: _system("ltrec, through its lanes", "ltrec", ""),
    RESIDENT: _system("ltrec, in memory where it fits", "resident", ""),
    "replay": _system("RePlay's Parquet data set", "replay", "replay"),
    "datasets": _system("Hugging Face datasets", "datasets", "stream-datasets"),
    "litdata": _system("LitData", "litdata", "stream-litdata"),
}


def write_users(users: int, out: Path, packed: bool = False) -> tuple[int, int]:
    """A prepared data set in `out`/data and its users in `out`/table, in another order; `packed` as shards are.

    Returns:
        Number of users to train on, and the sum of the ids that a pass over them gives.
    """
    events = fetch_synthetic(SyntheticConfig(users=users, items=20_000, events_per_user=float(EVENTS)), out / "log")
    config = PrepareConfig(name="stream", sources=(str(events),), block_rows=min(MOST_BLOCK_ROWS, max(16, users // 24)))
    manifest = prepare(config, out / "data")
    histories = [history for shard in manifest.shards if shard.trainable for history in _histories(out / "data" / shard.path)]
    order = np.random.default_rng(0).permutation(len(histories))
    table = pa.table({"items": pa.array([histories[user] for user in order], pa.list_(pa.int64()))})
    (out / "table").mkdir(exist_ok=True)
    with atomic_path(out / "table" / "users.parquet") as temporary:
        pq.write_table(table, temporary, row_group_size=GROUP, **(PACKED if packed else {}))
    return len(histories), sum(int(history[-COLUMNS:].sum()) for history in histories)


def _histories(shard: Path) -> list[Any]:
    """Training events of the users of a shard."""
    table = pq.read_table(shard, columns=[c.ITEMS, c.TRAIN_EVENTS])
    lists = table[c.ITEMS].combine_chunks()
    items, starts = lists.values.to_numpy().astype(np.int64), lists.offsets.to_numpy()
    return [items[start : start + count] for start, count in zip(starts, table[c.TRAIN_EVENTS].to_numpy(), strict=False)]


def compare(users: int, rounds: int, names: list[str], processes: Processes, packed: bool = False) -> dict[str, Any]:
    """Measure them in turn."""
    count, total = write_users(users, processes.out / "stream", packed)
    pythons = {name: processes.python(STREAMS[name]) for name in names}
    places = {key: str((processes.out / "stream" / key).absolute()) for key in ("table", "data")}
    found: dict[str, list[Line]] = {}
    for turn, (name, python) in itertools.product(range(rounds), pythons.items()):
        job = {**places, "rows": ROWS, "columns": COLUMNS, "passes": PASSES, "seed": turn}
        line = python and processes.figures(STREAMS[name], python, job, f"stream, round {turn}, {name}")
        if line and refusal(line, count, total):
            say(f"FAILED {name}: {refusal(line, count, total)}")
            processes.failed.append(name)
        elif line:
            found.setdefault(name, []).append({"round": turn, **line})
    return {"benchmark": "stream-peers", "users": count, "events": EVENTS * users, "packed": packed, **summary(count, found)}


def refusal(line: Line, users: int, ids: int) -> str:
    """Why this is not the same output."""
    if (line["users"], line["ids"]) != (users, ids):
        return f"{line['users']} users and a sum of {line['ids']} instead of {users} and {ids}"
    return "two passes begin alike: nothing was shuffled" if len(set(line["firsts"])) < len(line["firsts"]) else ""


def summary(users: int, found: dict[str, list[Line]]) -> dict[str, Any]:
    """Users per processor second and ratios to the project in the same round, medians."""
    own = {line["round"]: min(line["seconds"]) for line in found.get(OWN, [])}
    systems: dict[str, Any] = {}
    for name, lines in found.items():
        seconds = {line["round"]: min(line["seconds"]) for line in lines}
        ratios = [spent / own[turn] for turn, spent in seconds.items() if turn in own]
        systems[name] = {
            "system": lines[0]["system"],
            "users_per_cpu_s": round(users / statistics.median(seconds.values())),
            "times_ltrec_s": round(statistics.median(ratios), 3) if ratios else None,
            "peak_mib": round(statistics.median(line["peak_mib"] for line in lines)),
            "machine": lines[-1]["machine"],
        }
    others = [
        figures["times_ltrec_s"] for name, figures in systems.items() if name not in (OWN, RESIDENT) and figures["times_ltrec_s"]
    ]
    return {"systems": systems, "least": LEAST, "reached": min(others, default=None)}


def main() -> int:
    """Measure, print a table, keep the figures; the last line is one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peers", default=",".join(name for name in STREAMS if name not in (OWN, RESIDENT)), help="by comma")
    parser.add_argument("--packed", action="store_true", help="the table as ltrec writes its shards")
    parser.add_argument("--out", type=Path, default=Path("runs/peers"), help="folder for data and jobs")
    parser.add_argument("--environments", type=Path, default=default_folder(), help="folder of environments")
    parser.add_argument("--torch-index", default=TORCH_INDEX, help="where torch is taken from")
    parser.add_argument("--results", type=Path, default=RESULTS, help="file for the figures")
    options = parser.parse_args()
    processes = Processes(options.out, options.environments, options.torch_index)
    figures = compare(options.users, options.rounds, [OWN, RESIDENT, *options.peers.split(",")], processes, options.packed)
    for name, line in figures["systems"].items():
        print(f"{name:9}", *(f"{key} {value}" for key, value in line.items() if key != "machine"))
    options.results.parent.mkdir(parents=True, exist_ok=True)
    atomic_write_text(options.results, json.dumps(figures, indent=1) + "\n")
    print(json.dumps(figures))
    return 1 if processes.failed else 0


if __name__ == "__main__":
    sys.exit(main())
