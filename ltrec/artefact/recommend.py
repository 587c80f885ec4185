"""Recommend with the model in the folder of this file. Needs numpy, pyarrow, and torch or onnxruntime, but not ltrec.

    python recommend.py < histories.jsonl > answers.jsonl          a line per user: {"items": ["a", "b"], ...}, oldest first
    from recommend import Recommender
    Recommender("FOLDER")([{"items": ["a", "b"], "time": [10, 20], "age": 31}], k=10)

Items are raw ids, as text; unknown ones are skipped. Beside `items` stand the columns that the model was trained with, as
`artefact.json` lists them under `inputs`: lists as long as `items` of events (`time` in seconds), single values of users; None is a
missing value. With `candidates`, a list of raw ids, only these may be recommended to that history; those in `deny` may not.

An answer is the same bits whatever histories stand beside it: rectangles have a width that depends on the history's own length, and
a height that is a multiple of `ROWS`, for which matrix products take the same path.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from errno import ENOENT
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Array = npt.NDArray[Any]
Columns = dict[str, Array]
Arguments = tuple[Array, Columns, Columns]
ROWS, NARROWEST = 8, 16
_TYPES = {"F32": "float32", "F64": "float64", "F16": "float16", "I8": "int8", "I32": "int32", "I64": "int64", "BOOL": "bool"}


class Recommender:
    """The model in a folder.

    Args:
        folder: of the artefact.
        check: compare every file with its digest first. A ValueError, or FileNotFoundError, names the fault.
    """

    def __init__(self, folder: str | Path, *, check: bool = True) -> None:
        self.folder = Path(folder)
        self.about: dict[str, Any] = read_manifest(self.folder)
        for name, file in self.about["files"].items():
            _check_file(self.folder / name, file, whole=check)
        self.tables = widened(read_tables(self.folder / self.about.get("tensors", "tables.safetensors")))
        self.item_ids = read_vocabulary(self.folder / "items.arrow")
        if len(self.item_ids) != len(self.tables["allowed"]):
            raise ValueError(f"{self.folder} is damaged: items.arrow and the tables have different items; export the model again")
        form: type[Any] = {"torch": TorchProgram, "onnx": OnnxSession}[self.about["format"]]
        self.program: Any = form(self.folder / self.about["program"])
        self._item_of = {name: item for item, name in enumerate(self.item_ids) if item}
        self._pairs = int(self.about.get("pairs") or 0)
        self._columns = {role: dict(columns) for role, columns in self.about["inputs"].items()}
        self._ids = {
            column["file"]: {value: id_ for id_, value in enumerate(read_vocabulary(self.folder / column["file"])) if id_ > 1}
            for columns in self._columns.values()
            for column in columns.values()
            if column["file"]
        }

    def __call__(self, histories: Sequence[Mapping[str, Any]], k: int | None = None) -> list[dict[str, Any]]:
        """Recommend to every history, each a mapping as above: items, scores, stratum, source. ValueErrors name the field."""
        k = self.about["k"] if k is None else k
        if type(k) is not int or not 1 <= k <= self.about["k"]:
            raise ValueError(f"k is {k!r}; this model gives 1 to {self.about['k']} items")
        arguments = self.arguments(histories)
        lengths = (arguments[0] > 0).sum(axis=1).tolist()
        scores_BK = np.full((len(histories), self.about["k"]), -np.inf, "float32")
        items_BK = np.zeros(scores_BK.shape, "int64")
        for rows, width, tables in self._calls(histories, lengths):
            scores, items = self._best(_rectangle(arguments, rows, width), tables)
            scores_BK[rows], items_BK[rows] = scores[: len(rows)], items[: len(rows)]
        return [self._answer(*row, k) for row in zip(lengths, scores_BK, items_BK, strict=True)]

    def _calls(self, histories: Sequence[Mapping[str, Any]], lengths: Sequence[int]) -> Iterator[tuple[list[int], int, Columns]]:
        """Numbers of histories that may be answered together, the width of their rectangle, and their tables."""
        groups: dict[tuple[int, Any, Any], list[int]] = {}
        for number, (history, length) in enumerate(zip(histories, lengths, strict=True)):
            chosen, denied = (self._listed(number, history, name) for name in ("candidates", "deny"))
            groups.setdefault((_width(length), chosen, denied), []).append(number)
        for (width, chosen, denied), numbers in groups.items():
            tables = self.tables if (chosen, denied) == (None, None) else {**self.tables, "allowed": self._allowed(chosen, denied)}
            rows = max(ROWS, self._pairs // len(tables["candidates"])) if "candidates" in tables else len(numbers)
            for start in range(0, len(numbers), rows):
                yield numbers[start : start + rows], width, tables

    def _allowed(self, chosen: tuple[int, ...] | None, denied: tuple[int, ...] | None) -> Array:
        mask = np.full_like(self.tables["allowed"], chosen is None)
        mask[[*(chosen or ())]], mask[[*(denied or ())]] = True, False
        return mask & self.tables["allowed"]

    def _listed(self, number: int, history: Mapping[str, Any], name: str) -> tuple[int, ...] | None:
        """Ids of a history's own list of items in ascending order; None = it has none."""
        names = history.get(name)
        found = {self._item_of.get(item, 0) for item in _ids([] if names is None else names, f"history {number}: {name}")} - {0}
        return None if names is None else tuple(sorted(found))

    def _best(self, arguments: Arguments, tables: Columns) -> tuple[Array, Array]:
        """Scores and ids of the best items [B, k]. A model that looks at every candidate (DIN) is given as many at a time as memory
        allows; beside a memory of neighbours, which weighs all items at once, all of them."""
        if "candidates" not in tables or "neighbours.item" in tables:
            return self.program(*arguments, tables)  # type: ignore[no-any-return]
        ids, width = np.flatnonzero(tables["allowed"]), max(2, self._pairs // len(arguments[0]))
        answers, allowed = [], tables["allowed"]
        for start in range(0, max(1, len(ids)), width):
            part = np.pad(ids[start : start + width], (0, max(0, start + 2 - len(ids))))  # one candidate makes another program
            own = {"candidates": part, "allowed": allowed & (np.bincount(part, minlength=len(allowed)) > 0)}
            answers.append(self.program(*arguments, {**tables, **own}))
        scores, items = (np.concatenate(found, axis=1) for found in zip(*answers, strict=True))
        order = np.lexsort((items, -scores), axis=1)[:, : self.about["k"]]
        return np.take_along_axis(scores, order, 1), np.take_along_axis(items, order, 1)

    def arguments(self, histories: Sequence[Mapping[str, Any]], first: int = 0) -> Arguments:
        """Inputs of the program: items and event columns [B, L], padded with 0, and user columns [B]; `first` is a number."""
        known = [self._known(number, history) for number, history in enumerate(histories, first)]
        items = _padded([[self._item_of[history["items"][at]] for at in places] for history, places in known], "int64")
        events, users, told = {}, {}, [(f"history {number}", *own) for number, own in enumerate(known, first)]
        for name, column in self._columns["events"].items():
            rows = [[self._stored(column, f"{who}: {name}[{at}]", own[name][at]) for at in places] for who, own, places in told]
            events[name] = _padded(rows, column["dtype"])
        for name, column in self._columns["users"].items():
            values = [self._stored(column, f"{who}: {name}", own.get(name)) for who, own, _ in told]
            users[name] = np.array(values, dtype=column["dtype"])
        return items, events, users

    def _known(self, number: int, history: Mapping[str, Any]) -> tuple[Mapping[str, Any], list[int]]:
        """A history, and the positions of its known items."""
        if not isinstance(history, Mapping):
            raise ValueError(f"history {number}: {str(history)[:60]} is no mapping with `items`")
        names = _ids(history.get("items"), f"history {number}: items")
        for name in self._columns["events"]:
            values = history.get(name)
            if not isinstance(values, list) or len(values) != len(names):
                raise ValueError(f"history {number}: {name} must be a list as long as items")
        return history, [at for at, name in enumerate(names) if name in self._item_of]

    def _stored(self, column: Mapping[str, Any], what: str, value: Any) -> Any:
        """A value as the program is given it. None is a missing value, and so is NaN."""
        if value is None or value != value:
            return float("nan") if column["missing"] is None else column["missing"]
        if isinstance(value, (list, dict)):
            raise ValueError(f"{what} is {str(value)[:60]}; it must be a single value")
        if column["file"]:
            whole = isinstance(value, float) and value.is_integer()
            word = str(int(value)) if whole else str(value).lower() if isinstance(value, bool) else str(value).strip()
            return self._ids[column["file"]].get(word, 1)
        kind, most = ("whole number", 2.0**63) if column["dtype"] == "int64" else ("number", 3.4e38)
        if type(value) not in (int, float) or not abs(value) < most or (kind != "number" and value != int(value)):
            raise ValueError(f"{what} is {value!r:.60}; it must be a {kind} below {most:.2g}, or None where it is missing")
        return value

    def _answer(self, length: int, scores_K: Array, items_K: Array, k: int) -> dict[str, Any]:
        there = [pair for pair in zip(items_K[:k].tolist(), scores_K[:k].tolist(), strict=True) if pair[1] > -np.inf]
        return {
            "items": [self.item_ids[item] for item, _ in there],
            "scores": [score for _, score in there],
            "stratum": max(0, sum(bound <= length for bound in self.about["strata"]["lower_bounds"]) - 1),
            "source": "model" if length else "popularity",
        }


class TorchProgram:
    """A program that torch.export saved."""

    def __init__(self, path: Path) -> None:
        self.torch: Any = import_module("torch")
        self.module = self.torch.export.load(str(path)).module()

    def __call__(self, items: Array, events: Columns, users: Columns, tables: Columns) -> tuple[Array, Array]:
        """Scores and ids [B, k]."""
        own = self.torch.from_numpy
        named = [{name: own(values) for name, values in given.items()} for given in (events, users, tables)]
        with self.torch.no_grad():
            scores, ids = self.module(own(items), *named)
        return scores.numpy(), ids.numpy()


class OnnxSession:
    """A program in ONNX."""

    def __init__(self, path: Path) -> None:
        runtime: Any = import_module("onnxruntime")
        self._session = runtime.InferenceSession(str(path), providers=runtime.get_available_providers())

    def __call__(self, items: Array, events: Columns, users: Columns, tables: Columns) -> tuple[Array, Array]:
        """Scores and ids [B, k]."""
        named = {"items": items, **tables, **{f"event.{name}": values for name, values in events.items()}}
        named |= {f"user.{name}": values for name, values in users.items()}
        return tuple(self._session.run(["scores", "ids"], {given.name: named[given.name] for given in self._session.get_inputs()}))


def read_manifest(folder: Path) -> dict[str, Any]:
    """What artefact.json says; a ValueError where it is missing or damaged."""
    path = folder / "artefact.json"
    try:
        about: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        sealed = about.pop("sha256", None)
    except OSError as error:
        raise ValueError(f"{path} cannot be read ({error.strerror}); name the folder that ltrec export wrote") from None
    except (ValueError, AttributeError):
        raise ValueError(f"{path} is damaged: it is not JSON; export the model again") from None
    if sealed is not None and sealed != digest_of(about):
        raise ValueError(f"{path} is damaged: it was changed after it was written; export the model again")
    return about


def digest_of(about: Mapping[str, Any]) -> str:
    """Digest of a manifest without its own."""
    return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()


def read_tables(path: Path) -> Columns:
    """The tensors of a safetensors file."""
    data = bytearray(path.read_bytes())
    size = int.from_bytes(data[:8], "little")
    header, body = json.loads(data[8 : 8 + size]), memoryview(data)[8 + size :]
    found: Columns = {}
    for name, about in header.items():
        found[name] = np.frombuffer(body[slice(*about["data_offsets"])], dtype=_TYPES[about["dtype"]]).reshape(about["shape"])
    return found


def widened(tables: Mapping[str, Array]) -> Columns:
    """Tables as the program computes with them: 16 bit numbers as 32 bit ones, and 8 bit ones times the scale of their row."""
    found = dict(tables)
    for name, values in tables.items():
        if values.dtype.name in ("float16", "int8"):
            found[name] = values.astype("float32") * (found.pop(f"{name}.scale")[:, None] if values.dtype.name == "int8" else 1)
    return found


def read_vocabulary(path: Path) -> list[str]:
    """Values in the order of their ids."""
    with pa.memory_map(str(path)) as source, pa.ipc.open_file(source) as file:
        return list(file.read_all()["value"].to_pylist())


def _ids(names: Any, what: str) -> list[str]:
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError(f"{what} must be a list of ids, as text")
    return names


def _width(length: int) -> int:
    """Of the rectangle for a history of that length: 16, 64, 256, ..."""
    return next(width for width in (NARROWEST << 2 * n for n in range(32)) if width >= length)


def _rectangle(arguments: Arguments, rows: list[int], width: int) -> Arguments:
    """Some rows of the arguments, so many positions wide, with empty histories below."""
    items, events, users = arguments
    below, right = (0, -len(rows) % ROWS), (0, max(0, width - items.shape[1]))
    events = {name: np.pad(values[rows, :width], (below, right)) for name, values in events.items()}
    users = {name: np.pad(values[rows], below) for name, values in users.items()}
    return np.pad(items[rows, :width], (below, right)), events, users


def _padded(rows: Sequence[Sequence[Any]], dtype: str) -> Array:
    found = np.zeros((len(rows), max([1, *map(len, rows)])), dtype=dtype)
    for row, values in enumerate(rows):
        found[row, : len(values)] = values
    return found


def _check_file(path: Path, file: Mapping[str, Any], *, whole: bool) -> None:
    if not path.is_file():
        raise FileNotFoundError(ENOENT, "missing; export the model again", str(path))
    with open(path, "rb") as data:
        digest = hashlib.file_digest(data, "sha256").hexdigest() if whole else file["sha256"]
    if (path.stat().st_size, digest) != (file["bytes"], file["sha256"]):
        raise ValueError(f"{path} is damaged: its sha256 is not that of artefact.json; export the model again")


def main() -> None:
    """Answer the histories of standard input, all of them or none; together as many as the longest line allows."""
    own, given = Recommender(Path(__file__).resolve().parent), []
    lines = [(number, line) for number, line in enumerate(sys.stdin, 1) if line.strip()]
    for number, line in lines:
        try:
            given.append(json.loads(line))
        except ValueError:
            raise ValueError(f'line {number} is not JSON; a line is a history, as {{"items": ["a", "b"]}}') from None
    size = max(1, min(256, 2**24 // max([1, *(len(line) for _, line in lines)])))
    blocks = [(start, given[start : start + size]) for start in range(0, len(given), size)]
    for start, block in blocks:
        own.arguments(block, start)  # all are checked before anything is written
    for _, block in blocks:
        sys.stdout.writelines(json.dumps(answer, ensure_ascii=False) + "\n" for answer in own(block))


if __name__ == "__main__":
    try:
        main()
    except (ValueError, FileNotFoundError) as error:
        sys.exit(f"error: {error}")
