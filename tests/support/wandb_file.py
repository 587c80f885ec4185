"""Read a `.wandb` file back without W&B's own reader: the log format of LevelDB around protocol buffers.

7 bytes header ":W&B" + magic + version, then blocks of 32 KiB (the header counts as part of the first);
a record is crc32 (4 bytes), length (2), type (1), payload; a long one is cut into first, middle..., last.
"""

from __future__ import annotations

import json
import struct
import time
from pathlib import Path

from wandb.proto import wandb_internal_pb2

BLOCK, HEADER, RECORD = 32 * 1024, 7, 7
FULL, FIRST, MIDDLE, LAST = 1, 2, 3, 4


def records(path: Path):
    """Every record of the file."""
    data, place, held = path.read_bytes(), HEADER, b""
    assert data[:4] in (b":W&B", b"")
    while place + RECORD <= len(data):
        if BLOCK - place % BLOCK < RECORD:
            place += BLOCK - place % BLOCK
            continue
        _, length, kind = struct.unpack_from("<IHB", data, place)
        if place + RECORD + length > len(data):
            return  # still being written
        held += data[place + RECORD : place + RECORD + length]
        place += RECORD + length
        if kind in (FULL, LAST):
            record = wandb_internal_pb2.Record()
            record.ParseFromString(held)
            held = b""
            yield record


def history(path: Path) -> list[dict]:
    """Every logged line without W&B's own keys."""
    lines = [
        {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in record.history.item}
        for record in records(path)
        if record.WhichOneof("record_type") == "history"
    ]
    return [{k: v for k, v in line.items() if not k.startswith("_")} for line in lines]


def run_of(path: Path):
    """The record that opened the run."""
    return next(record.run for record in records(path) if record.WhichOneof("record_type") == "run")


def config_of(path: Path) -> dict:
    """The config the run was opened with."""
    return {update.key: json.loads(update.value_json) for update in run_of(path).config.update}


def exit_code_of(path: Path) -> int | None:
    """How the run ended; None while it has not."""
    return next((r.exit.exit_code for r in records(path) if r.WhichOneof("record_type") == "exit"), None)


def _of_type(path: Path, kind: str):
    return [getattr(record, kind) for record in records(path) if record.WhichOneof("record_type") == kind]


def defined(path: Path) -> dict:
    """Every metric that was defined, by name."""
    return {metric.name: metric for metric in _of_type(path, "metric")}


def artifacts(path: Path) -> list:
    """Every artifact that was logged."""
    return _of_type(path, "artifact")


def was_preempted(path: Path) -> bool:
    """Whether the run said that it would be requeued."""
    return bool(_of_type(path, "preempting"))


def summary(path: Path) -> dict:
    """The last value of every key of the summary, without W&B's own."""
    values = {}
    for record in _of_type(path, "summary"):
        for update in record.update:
            values[update.key or "/".join(update.nested_key)] = json.loads(update.value_json)
    return {k: v for k, v in values.items() if not k.startswith("_")}


def table(run: Path, line: dict) -> dict:
    """Columns and data of the table that a line of the history speaks of."""
    [name] = [value for key, value in line.items() if key.endswith("/path") or key == "path"]
    [found] = run.glob(f"wandb/offline-run-*/files/{name}")
    return json.loads(found.read_text())


def files(run: Path) -> list[Path]:
    """The offline `.wandb` files of a run folder, oldest first. W&B flushes them a moment after `finish` has returned."""
    found = sorted(run.glob("wandb/offline-run-*/run-*.wandb"), key=lambda path: path.stat().st_mtime_ns)
    deadline = time.monotonic() + 20
    while any(exit_code_of(path) is None for path in found):
        assert time.monotonic() < deadline, f"not finished: {found}"
        time.sleep(0.05)
    return found
