"""Hostile files: manifests, checkpoints, logs."""

from __future__ import annotations

import gzip
import io
import json
import os
import pickle
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch

from ltrec.core.storage.canonical import canonical_json
from ltrec.data.manifest import MANIFEST, digest_of
from tests.support.fuzz import Case, World, train_words
from tests.support.fuzz_values import changed, damaged, nasty

# What a manifest may say otherwise without being wrong for every reader.
_FREE = ("name", "created_by", "source", "options", "summary", "split", "digest")


def linked(source: Path, target: Path) -> Path:
    """A copy that costs nothing; what is to differ must be removed first."""
    shutil.copytree(source, target, copy_function=os.link, symlinks=True)
    return target


def a_manifest(random: Random, world: World) -> Case:
    """A manifest with a wrong byte, or whole but for one value."""
    data = linked(world.data, world.scratch / "data")
    path = data / MANIFEST
    text = path.read_text()
    body = json.loads(text)
    path.unlink()
    broken = "the manifest is damaged"
    if random.random() < 0.2:
        path.write_bytes(content := damaged(text.encode(), random))
        broken = broken if content != text.encode() else ""
    else:
        del body["digest"]
        other, place = changed(body, random)
        try:
            path.write_text(canonical_json({**other, "digest": digest_of(other)}), encoding="utf-8")
        except (ValueError, TypeError):  # JSON cannot say it
            path.write_text(json.dumps({**other, "digest": "0" * 64}), errors="surrogateescape")
        broken = f"{place} was changed" if place[0] not in _FREE and other != body else ""
    if random.random() < 0.15:
        return Case(["train", *train_words(data, world.scratch / "runs", "trainer.max_epochs=1", "trainer.max_steps=1")])
    return Case(["verify", str(data)], broken)


def a_checkpoint(random: Random, world: World) -> Case:
    """A run whose checkpoint is damaged, foreign, or whole but for one value."""
    run = Path(shutil.copytree(world.run, world.scratch / "r", symlinks=True))  # training goes on in it
    name = random.choice(["best", "last"])
    path = run / "checkpoints" / f"{name}.ckpt"
    content = path.read_bytes()
    path.unlink()
    broken = f"{name}.ckpt is damaged"
    if (kind := random.randrange(4)) == 0:
        path.write_bytes(other := damaged(content, random))
        broken = "" if _same_records(content, other) else broken
    elif kind == 1:
        path.write_bytes(other := random.choice(FOREIGN)(content))
        broken = "" if _same_records(content, other) else broken
    else:
        state = torch.load(io.BytesIO(content), weights_only=True)
        state, _ = changed(state, random, _for_checkpoint)
        torch.save(state, path)
        broken = ""
    if random.random() < 0.3:  # going on may fall back to the checkpoint before
        return Case(["train", *train_words(world.data, world.scratch, "trainer.max_epochs=2")])
    return Case(["predict", str(run), "--checkpoint", name, "-k", "3", "--out", str(world.scratch / "x.parquet")], broken)


def _same_records(content: bytes, other: bytes) -> bool:
    """Whether a damage lies between the records, in padding that nobody reads."""
    try:
        mine, theirs = (zipfile.ZipFile(io.BytesIO(data)) for data in (content, other))
        return {n: mine.read(n) for n in mine.namelist()} == {n: theirs.read(n) for n in theirs.namelist()}
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError, EOFError, RuntimeError):
        return False


def _for_checkpoint(random: Random) -> Any:
    choices = [torch.zeros(0), torch.ones(3, 3), torch.tensor(float("nan")), torch.zeros(2, dtype=torch.int8), (), b"x"]
    return random.choice(choices) if random.random() < 0.5 else nasty(random)


def _bomb(_: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        archive.writestr("archive/data.pkl", bytes(30_000_000))
    return file.getvalue()


class _Bad:
    def __reduce__(self) -> tuple[Any, ...]:
        return print, ("executed",)


FOREIGN: list[Callable[[bytes], bytes]] = [
    _bomb,
    lambda _: b"",
    lambda _: b"PK\x03\x04",
    lambda _: pickle.dumps(_Bad()),
    lambda _: pickle.dumps({"state_dict": {}}),
    lambda content: content + content,
    lambda content: gzip.compress(content),
    lambda _: b"name: r\n" * 50,
]


def a_run_folder(random: Random, world: World) -> Case:
    """A run one of whose small files is damaged or forged; what is no input of the command may be anything."""
    run = Path(shutil.copytree(world.run, world.scratch / "r", symlinks=True))
    files = sorted(p for p in run.rglob("*") if p.is_file() and p.suffix in (".json", ".jsonl", ".yaml", ".parquet"))
    path = random.choice(files)
    content = path.read_bytes()
    if path.suffix == ".json" and random.random() < 0.6:
        other, _ = changed(json.loads(content), random)
        path.write_text(json.dumps(other), errors="surrogateescape")
    elif path.suffix == ".jsonl" and random.random() < 0.6:
        lines = content.decode().splitlines()
        lines.insert(random.randrange(len(lines)), json.dumps(nasty(random)))
        path.write_text("\n".join(lines) + "\n", errors="surrogateescape")
    else:
        path.write_bytes(damaged(content, random))
    words = random.choice([["report", str(run)], ["evaluate", str(run)], ["predict", str(run), "-k", "3"]])
    return Case(words)


def a_log(random: Random, world: World) -> Case:
    """A log with wrong bytes or values in some format; what is not prepared leaves nothing behind."""
    ending = random.choice(["csv", "tsv", "jsonl", "parquet", "csv.gz"])
    rows = [[f"u{random.randrange(9)}", f"i{random.randrange(5)}", 1_400_000_000 + n] for n in range(60)]
    for _ in range(random.randrange(4)):
        rows[random.randrange(60)][random.randrange(3)] = nasty(random)
    content = _as(ending, rows)
    if random.random() < 0.6:
        content = damaged(content, random)
    path = world.scratch / f"log.{ending}"
    path.write_bytes(content)
    out = world.scratch / "out"
    choices = ["--time-unit=ms", "--split=global_time", "reject_budget=1", "history_cap=3", "where=1=1"]
    options = random.sample(choices, 2)
    words = ["prepare", str(path), "--out", str(out), *options]

    def after(code: int) -> str:
        left = {p.name for p in out.iterdir()} - {"_rejects"} if out.exists() else set()
        return f"it failed and left {left} in the output folder" if code and left else ""

    return Case(words, "" if content else "the log is empty", after)


def _as(ending: str, rows: list[list[Any]]) -> bytes:
    names = ["user_id", "item_id", "timestamp"]
    if ending == "jsonl":
        return "\n".join(json.dumps(dict(zip(names, row, strict=True))) for row in rows).encode("utf-8", "surrogatepass")
    texts = [[str(cell) for cell in row] for row in rows]
    if ending == "parquet":
        sink = io.BytesIO()
        columns = [pa.array([t.encode("utf-8", "replace").decode() for t in column]) for column in zip(*texts, strict=True)]
        pq.write_table(pa.table(columns, names=names), sink)
        return sink.getvalue()
    separator = "\t" if ending == "tsv" else ","
    plain = "\n".join(separator.join(row) for row in [names, *texts]).encode("utf-8", "surrogatepass")
    return gzip.compress(plain) if ending.endswith("gz") else plain
