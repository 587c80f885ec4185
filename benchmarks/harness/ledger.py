"""Which runs a benchmark knows, and the results that it has written down: one JSON object per line, one file per data set.

A run is known by its *key*: a digest of everything in its resolved config that differs from the defaults, where it matters, and of
the prepared data. A line with that key is never made twice; a setting that changes makes another key, and another run.
"""

from __future__ import annotations

import hashlib
import json
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ltrec.config.load import load
from ltrec.config.tree import RunConfig
from ltrec.core.storage.canonical import canonical_json
from ltrec.data.manifest import Manifest

from .former import former

WITHOUT_EFFECT = (
    "name",
    "out",
    "resume",
    "data.",
    "prepare.",
    "tracking.",
    "trainer.progress",
    "trainer.threads",
    "stream.threads",
)
"""Settings that change no figure; the data set enters the key by its digest."""

ONE_THREAD = ("trainer.threads=1", "trainer.progress=false", "stream.threads=1")

Line = dict[str, Any]
Words = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Run:
    """A method with one setting and one seed on one data set.

    Attributes:
        data, method, setting: names.
        words: the setting's words of the command line.
        seed: of training.
        config: resolved.
        key: what it is known by.
        files: of the config.
        shared: words of all runs.
    """

    data: str
    method: str
    setting: str
    words: Words
    seed: int
    config: RunConfig = field(repr=False)
    key: str
    files: tuple[Path, ...]
    shared: Words

    @property
    def label(self) -> str:
        """For people."""
        return f"{self.data} {self.method} ({self.setting}) seed {self.seed}"

    @property
    def folder(self) -> Path:
        """The run folder."""
        return Path(self.config.out) / self.config.name

    def facts(self) -> Line:
        """What a line of results begins with."""
        names = {"data": self.data, "method": self.method, "setting": self.setting, "words": list(self.words)}
        return names | {"seed": self.seed, "key": self.key, "run": self.config.name}


def make_run(
    files: list[Path],
    out: Path,
    shared: Words,
    *,
    data: str,
    method: str,
    setting: str,
    words: Words,
    seed: int,
    folder: Path | None = None,
) -> Run:
    """Resolve a run's config: files left to right, words of all runs, words of its setting.

    Args:
        files: of the config.
        out: folder of the benchmark.
        shared: words of all runs.
        data, method, setting, words, seed: as in `Run`.
        folder: the prepared data set; None = data/DATA in `out`.

    Raises:
        UserError: a file or a word is wrong, or the data set is not there.
    """
    folder = folder or out / "data" / data
    fixed = [*shared, *words, *ONE_THREAD, f"seed={seed}", f"data.path={folder}", f"out={out / 'runs'}"]
    key = key_of(load(files, fixed), Manifest.load(folder).digest)
    config = load(files, [*fixed, f"name={data}-{method}-{setting}-s{seed}-{key[:8]}"])
    return Run(data, method, setting, words, seed, config, key, tuple(files), shared)


def key_of(config: RunConfig, data: str) -> str:
    """Digest of what makes the run: settings that are not at their default, spelled as they were when the first results were kept,
    and the data set's digest."""
    defaults = former(RunConfig())
    changed = {k: v for k, v in former(config).items() if defaults.get(k, ...) != v and not k.startswith(WITHOUT_EFFECT)}
    return hashlib.sha256(canonical_json([changed, data]).encode()).hexdigest()[:16]


class Ledger:
    """The lines of one protocol in `folder`, a file per data set; safe to share between threads.

    Args:
        folder: of results.
        protocol: the beginning of the files' names.
    """

    def __init__(self, folder: Path, protocol: str) -> None:
        self.folder, self.protocol, self._lock = folder, protocol, threading.Lock()

    def path(self, data: str) -> Path:
        """The file of a data set."""
        return self.folder / f"{self.protocol}-{data}.jsonl"

    def lines(self, data: str) -> list[Line]:
        """All lines of a data set, oldest first. A last line that was cut short by a kill is left out."""
        path = self.path(data)
        if not path.exists():
            return []
        whole = [line for line in path.read_text().splitlines(keepends=True) if line.endswith("\n")]
        return [json.loads(line) for line in whole]

    def find(self, data: str, phase: str, key: str) -> Line | None:
        """The newest line of a run in a phase."""
        found = [line for line in self.lines(data) if line["phase"] == phase and line["key"] == key]
        return found[-1] if found else None

    def add(self, line: Line) -> None:
        """Append a line to its data set's file, in place of one that was cut short."""
        path = self.path(line["data"])
        path.parent.mkdir(parents=True, exist_ok=True)
        with self._lock, path.open("a+b") as handle:
            handle.seek(0)
            handle.truncate(handle.read().rfind(b"\n") + 1)
            handle.write(json.dumps(line).encode() + b"\n")
