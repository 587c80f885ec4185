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

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ltrec.artefact.script.inputs import ROWS, Arguments, HistoryReader, rectangle, widths_of
from ltrec.artefact.script.programs import OnnxSession, TorchProgram
from ltrec.artefact.script.stored import Array, Columns, check_file, read_manifest, read_tables, read_vocabulary, widened

HISTORIES, SCORES = 1024, 1 << 25
"""Most that the script answers together, and most scores that a call of the program holds."""


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
            check_file(self.folder / name, file, whole=check)
        self.tables = widened(read_tables(self.folder / self.about.get("tensors", "tables.safetensors")))
        self.item_ids = read_vocabulary(self.folder / "items.arrow")
        if len(self.item_ids) != len(self.tables["allowed"]):
            raise ValueError(f"{self.folder} is damaged: items.arrow and the tables have different items; export the model again")
        form: type[Any] = {"torch": TorchProgram, "onnx": OnnxSession}[self.about["format"]]
        self.program: Any = form(self.folder / self.about["program"])
        self._reader = HistoryReader(self.folder, self.about["inputs"], self.item_ids)
        self._pairs, self._names = int(self.about.get("pairs") or 0), np.array(self.item_ids, dtype=object)

    def __call__(self, histories: Sequence[Mapping[str, Any]], k: int | None = None) -> list[dict[str, Any]]:
        """Recommend to every history, each a mapping as above: items, scores, stratum, source. ValueErrors name the field."""
        k = self.about["k"] if k is None else k
        if type(k) is not int or not 1 <= k <= self.about["k"]:
            raise ValueError(f"k is {k!r}; this model gives 1 to {self.about['k']} items")
        arguments = self.arguments(histories)
        lengths = (arguments[0] > 0).sum(axis=1)
        scores_BK = np.full((len(histories), self.about["k"]), -np.inf, "float32")
        items_BK = np.zeros(scores_BK.shape, "int64")
        for rows, width, tables in self._calls(histories, lengths):
            scores, items = self._best(rectangle(arguments, rows, width), tables)
            scores_BK[rows], items_BK[rows] = scores[: len(rows)], items[: len(rows)]
        return self._answers(lengths, scores_BK[:, :k], items_BK[:, :k])

    def arguments(self, histories: Sequence[Mapping[str, Any]], first: int = 0) -> Arguments:
        """Inputs of the program: items and event columns [B, L], padded with 0, and user columns [B]; `first` is a number."""
        return self._reader.arguments(histories, first)

    def _calls(self, histories: Sequence[Mapping[str, Any]], lengths: Array) -> Iterator[tuple[list[int], int, Columns]]:
        """Numbers of histories that may be answered together, the width of their rectangle, and their tables."""
        groups: dict[tuple[int, Any, Any], list[int]] = {}
        widths = widths_of(lengths, self.about["max_len"]).tolist()
        for number, (history, width) in enumerate(zip(histories, widths, strict=True)):
            groups.setdefault((width, *self._reader.lists(number, history)), []).append(number)
        for (width, chosen, denied), numbers in groups.items():
            tables = self.tables if (chosen, denied) == (None, None) else {**self.tables, "allowed": self._allowed(chosen, denied)}
            most = self._pairs // len(tables["candidates"]) if "candidates" in tables else SCORES // len(self.item_ids)
            calls = -(-len(numbers) // max(ROWS, most - most % ROWS))
            rows = -(-len(numbers) // (ROWS * calls)) * ROWS
            for start in range(0, len(numbers), rows):
                yield numbers[start : start + rows], width, tables

    def _allowed(self, chosen: tuple[int, ...] | None, denied: tuple[int, ...] | None) -> Array:
        mask = np.full_like(self.tables["allowed"], chosen is None)
        mask[[*(chosen or ())]], mask[[*(denied or ())]] = True, False
        return mask & self.tables["allowed"]

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

    def _answers(self, lengths_B: Array, scores_BK: Array, items_BK: Array) -> list[dict[str, Any]]:
        there_BK = scores_BK > -np.inf
        ends = there_BK.sum(axis=1).cumsum().tolist()
        names, scores = self._names[items_BK[there_BK]].tolist(), scores_BK[there_BK].tolist()
        strata = np.searchsorted(self.about["strata"]["lower_bounds"], lengths_B, side="right") - 1
        rows = zip([0, *ends], ends, strata.clip(min=0).tolist(), lengths_B.tolist(), strict=False)
        return [
            {"items": names[a:b], "scores": scores[a:b], "stratum": stratum, "source": "model" if length else "popularity"}
            for a, b, stratum, length in rows
        ]


def main() -> None:
    """Answer the histories of standard input, all of them or none; together as many as the longest line allows."""
    own, given = Recommender(Path(__file__).resolve().parent), []
    lines = [(number, line) for number, line in enumerate(sys.stdin, 1) if line.strip()]
    for number, line in lines:
        try:
            given.append(json.loads(line))
        except ValueError:
            raise ValueError(f'line {number} is not JSON; a line is a history, as {{"items": ["a", "b"]}}') from None
    size = max(1, min(HISTORIES, 2**24 // max([1, *(len(line) for _, line in lines)])))
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
