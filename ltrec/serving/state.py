"""What a server knows of itself."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class ServerState:
    """Changed by signals, read by requests.

    Attributes:
        stopping: it stops, and takes no new connections.
        reload: how the last reload ended, in one line; None before the first.
    """

    stopping: bool = False
    reload: str | None = None
