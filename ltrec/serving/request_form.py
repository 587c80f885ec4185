"""What requests to a model look like: pydantic models made from the inputs in its manifest.

    {"history": {"items": ["a", "b"], "time": [10, 20], "age": 31}, "k": 10}

Everything is strict: text is text and numbers are numbers, nothing unknown, nothing infinite, nothing over the limits.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, create_model

from ltrec.core.errors import UserError
from ltrec.serving.faults import RequestFault
from ltrec.serving.served import Query, ServedModel
from ltrec.serving.settings import ServerLimits

_STRICT = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, populate_by_name=False, hide_input_in_errors=True)
_YEARS = 1 << 40  # seconds: 35,000 years either way
_FLOAT32 = float(np.finfo(np.float32).max)
Text = Annotated[str, StringConstraints(min_length=1, max_length=512)]
ItemId = Text | Annotated[int, Field(ge=0, le=2**63 - 1)]
"""Raw ids are text; whole numbers are taken as their digits. A negative one is usually padding."""


class RequestForm:
    """The form of requests to one model, for as long as the server runs.

    Args:
        inputs: of the manifest.
        k: items that the model gives at most.
        limits: of the server.

    Raises:
        UserError: a column of a kind that no JSON value stands for.
    """

    def __init__(self, inputs: Mapping[str, Mapping[str, Any]], k: int, limits: ServerLimits) -> None:
        self.inputs, self.k = inputs, k
        events = {name: _list_of(_value(name, about), limits.history) for name, about in inputs["events"].items()}
        users = {name: _value(name, about) | None for name, about in inputs["users"].items()}
        items = _list_of(ItemId, limits.history, description="raw ids, oldest first; unknown ones are skipped")
        fields: dict[str, Any] = {f"event_{n}": (kind, Field(alias=name)) for n, (name, kind) in enumerate(events.items())}
        fields |= {f"user_{n}": (kind, Field(None, alias=name)) for n, (name, kind) in enumerate(users.items())}
        self.events, self._stored = tuple(events), dict(zip(fields, [*events, *users], strict=True))
        history = create_model("History", __config__=_STRICT, items=(items, ...), **fields)
        wanted: Any = (Annotated[int, Field(ge=1, le=k, description="items wanted")], min(10, k))
        many = _list_of(history, limits.histories, min_length=1)
        listed: Any = _list_of(ItemId, limits.listed) | None
        lists: dict[str, Any] = {"k": wanted, "allow": (listed, None), "deny": (listed, None)}
        self.one: type[BaseModel] = create_model("RecommendRequest", __config__=_STRICT, history=(history, ...), **lists)
        self.many: type[BaseModel] = create_model("BatchRequest", __config__=_STRICT, histories=(many, ...), **lists)

    def refuse(self, model: ServedModel) -> None:
        """Refuse another model whose requests would look different.

        Raises:
            UserError: it has other columns, or gives fewer items.
        """
        if model.about["inputs"] != self.inputs:
            raise UserError("its inputs are not those of the model that serves, so requests change: start a new server for it")
        if model.k < self.k:
            raise UserError(f"it gives {model.k} items, and requests may ask this server for {self.k}: start a new server for it")

    def query(self, body: bytes) -> list[Query]:
        """The one query of a request.

        Raises:
            ValidationError, RequestFault: it is not of this form.
        """
        request: Any = self.one.model_validate_json(body)
        return [self._query(request, request.history, ("history",))]

    def queries(self, body: bytes) -> list[Query]:
        """The queries of a request with several histories.

        Raises:
            ValidationError, RequestFault: it is not of this form.
        """
        request: Any = self.many.model_validate_json(body)
        return [self._query(request, history, ("histories", n)) for n, history in enumerate(request.histories)]

    def _query(self, request: Any, history: BaseModel, place: tuple[str | int, ...]) -> Query:
        given = history.__dict__
        found: dict[str, Any] = {"items": _texts(given["items"])}
        found |= {name: given[field] for field, name in self._stored.items()}
        for name in self.events:
            if len(found[name]) != len(found["items"]):
                raise RequestFault(
                    (*place, name), f"has {len(found[name])} values for {len(found['items'])} items; they must be as many"
                )
            if self.inputs["events"][name]["kind"] == "seconds" and (late := next(_backwards(found[name]), None)) is not None:
                raise RequestFault((*place, name, late), "is earlier than the one before; histories begin with the oldest item")
        allow = None if request.allow is None else _texts(request.allow)
        return Query(found, request.k, allow, frozenset(_texts(request.deny or [])))


def _texts(items: list[str | int]) -> list[str]:
    return [item if isinstance(item, str) else str(item) for item in items]


def _list_of(kind: Any, longest: int, **field: Any) -> Any:
    """A list that is read no further than its first fault."""
    return Annotated[list[kind], Field(max_length=longest, fail_fast=True, **field)]


def _backwards(times: list[int]) -> Iterator[int]:
    return (place for place in range(1, len(times)) if times[place] < times[place - 1])


def _value(name: str, about: Mapping[str, Any]) -> Any:
    """The type of a column's values.

    Raises:
        UserError: there is none.
    """
    if about["kind"] == "seconds":
        return Annotated[int, Field(ge=-_YEARS, le=_YEARS, description="seconds since 1970")]
    if about["file"]:
        return Text | Annotated[int, Field(ge=-(2**63), le=2**63 - 1)] | None
    try:
        dtype = np.dtype(about["dtype"])
    except TypeError:
        raise UserError(f"column {name!r} of kind {about['kind']} cannot be served: no JSON value stands for it") from None
    if dtype.kind == "f":
        return Annotated[float, Field(ge=-_FLOAT32, le=_FLOAT32)] | None
    if about["kind"] == "time":
        return Annotated[int, Field(ge=-_YEARS, le=_YEARS, description="seconds since 1970")] | None
    if dtype.kind in "iu":
        return Annotated[int, Field(ge=int(np.iinfo(dtype).min), le=int(np.iinfo(dtype).max))] | None
    raise UserError(f"column {name!r} of kind {about['kind']} cannot be served: no JSON value stands for it")
