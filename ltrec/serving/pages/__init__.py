"""Pages for people: complete in themselves, nothing is fetched from elsewhere."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from importlib import resources

from fastapi import Response

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; img-src data:"


def page_answer(name: str) -> Callable[[], Awaitable[Response]]:
    """What answers with a page of this folder."""
    text = resources.files("ltrec.serving.pages").joinpath(name).read_text(encoding="utf-8")

    async def answer() -> Response:
        headers = {"content-security-policy": _POLICY, "x-content-type-options": "nosniff", "referrer-policy": "no-referrer"}
        return Response(text, headers=headers, media_type="text/html")

    return answer
