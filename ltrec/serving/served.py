"""A model that was verified and warmed, ready to answer."""

from __future__ import annotations

import hashlib
import json
import math
import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ltrec.artefact.held import held_artefact
from ltrec.artefact.recommend import Recommender
from ltrec.artefact.script.stored import MANIFEST, VERSION
from ltrec.core.errors import UserError, first_line
from ltrec.core.extension.extras import install
from ltrec.serving.plugins import plugins_of, served_by


@dataclass(frozen=True, slots=True)
class Query:
    """One history to recommend for.

    Attributes:
        history: as `Recommender` takes it.
        k: items wanted.
        allow: only these items, if there is a list.
        deny: none of these.
        plugin: the stratum whose plugins serve; None = as the activity says.
    """

    history: Mapping[str, Any]
    k: int
    allow: Sequence[str] | None = None
    deny: frozenset[str] = frozenset()
    plugin: int | None = None


@dataclass(frozen=True, slots=True)
class ModelAnswer:
    """A list of items.

    Attributes:
        items: raw ids, best first.
        scores: theirs.
        stratum: of the history.
        source: `model` or `popularity`.
        unknown_items: items of the history that the model does not know.
        artefact: the first digits of the digest of the model that answered.
    """

    items: list[str] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    stratum: int = 0
    source: str = "model"
    unknown_items: int = 0
    artefact: str = ""


class ServedModel:
    """An exported folder in memory; nothing is read from it later.

    Args:
        place: the artefact's folder, or a link to it, or its address in a store.

    Raises:
        UserError: it is no artefact, is damaged, or cannot run here.
    """

    def __init__(self, place: str | os.PathLike[str]) -> None:
        with held_artefact(place) as folder:
            if not (folder / MANIFEST).is_file():
                raise UserError(f"{folder} is no exported model: it has no {MANIFEST} ('ltrec export RUN --out DIR' writes one)")
            self.folder = folder.resolve()
            self.recommender = _opened(self.folder)
            self.about: dict[str, Any] = self.recommender.about
            self.digest = hashlib.sha256((self.folder / MANIFEST).read_bytes()).hexdigest()
            self.k = min(int(self.about["k"]), len(self.recommender.item_ids) - 1)
            self._known = frozenset(self.recommender.item_ids[1:])
            self.plugins = plugins_of(self.recommender)
            self._warm()

    @property
    def short_digest(self) -> str:
        """Its first twelve digits, which answers carry."""
        return self.digest[:12]

    def answer(self, queries: Sequence[Query]) -> list[ModelAnswer]:
        """Answer all queries, in one pass but for those that name their plugins."""
        found: dict[int, ModelAnswer] = {}
        plugins = {query.plugin for query in queries}
        for plugin in plugins:
            numbers = [number for number, query in enumerate(queries) if query.plugin == plugin]
            with served_by(self.recommender, plugin if plugin in self.plugins else None):
                found |= zip(numbers, self._answers([queries[number] for number in numbers]), strict=True)
        return [found[number] for number in range(len(queries))]

    def plugin_of(self, query: Query) -> int:
        """The stratum whose plugins serve a history."""
        activity = sum(item in self._known for item in query.history["items"])
        strata = self.about["strata"]
        served: int = strata["served_by"][max(0, sum(bound <= activity for bound in strata["of_the_run"]) - 1)]
        return served

    def _answers(self, queries: Sequence[Query]) -> list[ModelAnswer]:
        asked = [self._asked(query) for query in queries]
        found = self.recommender([history for history, _ in asked], max(k for _, k in asked))
        return [self._answer(query, answer) for query, answer in zip(queries, found, strict=True)]

    def _asked(self, query: Query) -> tuple[Mapping[str, Any], int]:
        """The recommender's history and k. Of a short list of denied items as many more are fetched and left out afterwards, for a
        history with a list of its own takes a pass of its own."""
        denied = query.deny & self._known
        if query.allow is None and query.k + len(denied) <= self.k:
            return query.history, query.k + len(denied)
        lists = {"deny": [*denied], "candidates": None if query.allow is None else [*query.allow]}
        return {**query.history, **lists}, query.k

    def _answer(self, query: Query, answer: Mapping[str, Any]) -> ModelAnswer:
        items, scores = answer["items"], answer["scores"]
        if query.deny or not all(map(math.isfinite, scores)):
            pairs = zip(items, scores, strict=True)
            kept = [(item, score) for item, score in pairs if item not in query.deny and math.isfinite(score)]
            items, scores = [item for item, _ in kept], [score for _, score in kept]
        known = self._known
        unknown = sum(item not in known for item in query.history["items"])
        return ModelAnswer(items[: query.k], scores[: query.k], answer["stratum"], answer["source"], unknown, self.short_digest)

    def _warm(self) -> None:
        """Answer once for an empty history and for one with items: the first pass of a program takes long.

        Raises:
            UserError: it fails.
        """
        names = self.recommender.item_ids[1:3]
        try:
            for items in ([], names, names[:1]):
                events = {name: [_first(column)] * len(items) for name, column in self.about["inputs"]["events"].items()}
                self.answer([Query({"items": items, **events}, self.k)] * 2)
        except Exception as error:
            raise UserError(f"{self.folder} does not run here ({type(error).__name__}: {first_line(error)})") from error


def _first(column: Mapping[str, Any]) -> Any:
    return 0 if column["kind"] == "seconds" else None


def _opened(folder: Path) -> Recommender:
    """The artefact's own recommender, every file compared with its digest.

    Raises:
        UserError: it cannot be made.
    """
    try:
        about = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        if about["artefact"] != VERSION:
            raise UserError(f"{folder} was exported by another version of ltrec (form {about['artefact']}); export it again")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of torch about itself
            return Recommender(folder)
    except UserError:
        raise
    except ImportError as error:
        raise UserError(f"{folder} needs {error.name}: {install('export')}") from error
    except FileNotFoundError as error:
        raise UserError(f"{folder} is not whole: {Path(error.filename).name} is missing; export it again") from error
    except json.JSONDecodeError as error:
        raise UserError(f"{folder / MANIFEST} is damaged: {error}; export it again") from error
    except Exception as error:
        text = first_line(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {first_line(error)}"
        raise UserError(f"{folder} cannot be opened ({text}); export it again") from error
