"""Limits of a server."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from ltrec.core.bounds import Between, check_fields
from ltrec.core.errors import UserError


@dataclass(frozen=True, slots=True)
class ServerLimits:
    """What one request may bring, and how many may wait.

    Attributes:
        body_bytes: of a request.
        history: items of a history.
        histories: of a request to /recommend/batch.
        listed: items of an allow or deny list.
        batch: histories of one forward pass, at most.
        waiting: histories that may wait; whoever comes then gets 429.
        stop_seconds: after SIGTERM, for what was accepted.
    """

    body_bytes: Annotated[int, Between(1_000, 1 << 30)] = 1 << 20
    history: Annotated[int, Between(1, 1_000_000)] = 1_000
    histories: Annotated[int, Between(1, 100_000)] = 256
    listed: Annotated[int, Between(1, 1_000_000)] = 10_000
    batch: Annotated[int, Between(1, 65_536)] = 64
    waiting: Annotated[int, Between(1, 1_000_000)] = 1_024
    stop_seconds: Annotated[int, Between(1, 86_400)] = 30

    def __post_init__(self) -> None:
        try:
            check_fields(self)
        except ValueError as error:
            raise UserError(f"limits of the server: {error}") from None
        if self.histories > self.waiting:
            raise UserError(f"a request may bring {self.histories} histories, but only {self.waiting} may wait; raise --queue")
