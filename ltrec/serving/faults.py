"""What is wrong with a request, as one line with the name of the field."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import Response
from pydantic import ValidationError

_LONGEST = 100


class RequestFault(Exception):
    """A field that pydantic cannot judge alone.

    Args:
        place: names and numbers that lead to the field.
        message: to be read after it.
    """

    def __init__(self, place: Sequence[str | int], message: str) -> None:
        super().__init__(message)
        self.place, self.message = place, message


def problem(status: int, message: str, field: str | None = None, headers: Mapping[str, str] | None = None) -> Response:
    """An answer that says what is wrong."""
    body = json.dumps({"error": message, "field": field}, ensure_ascii=True)
    return Response(body, status, dict(headers or {}), "application/json")


def problem_of(error: ValidationError | RequestFault) -> Response:
    """The answer to a request that is not of the form."""
    if isinstance(error, RequestFault):
        field = field_name(error.place)
        return problem(422, f"{field} {error.message}", field)
    found = error.errors(include_url=False, include_context=False, include_input=False)
    first = found[0]
    if first["type"] == "json_invalid":
        return problem(400, f"the body is not JSON: {first['msg'].removeprefix('Invalid JSON: ')}", None)
    field = field_name(_place(first))
    alike = [one for one in found if field_name(_place(one)) == field]
    best = next((one for one in alike if not one["type"].endswith("_type")), first)
    return problem(422, f"{field or 'the body'}: {best['msg']}", field or None)


def field_name(place: Sequence[str | int]) -> str:
    """`histories[3].items[0]`, without anything that cannot be printed, and not longer than a line."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place).removeprefix(".")
    text = "".join(c if c.isprintable() else c.encode("unicode_escape", "backslashreplace").decode("ascii") for c in text)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def _place(error: Mapping[str, Any]) -> tuple[str | int, ...]:
    """Where it is, as far as a field leads: pydantic adds the types of alternatives, which are no fields."""
    place: tuple[str | int, ...] = error["loc"]
    within = {"history": 1, "histories": 2}.get(str(place[0]), 0) if place else 0
    end = within + 1
    return place[: end + 1] if len(place) > end and isinstance(place[end], int) else place[:end]
