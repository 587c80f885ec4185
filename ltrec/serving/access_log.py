"""The access log: a line of JSON per request."""

from __future__ import annotations

import logging
from typing import TextIO

from ltrec.serving.guard import ACCESS


def log_requests_to(stream: TextIO) -> None:
    """Write a line per request."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter("%(message)s"))
    ACCESS.handlers, ACCESS.propagate = [handler], False
    ACCESS.setLevel(logging.INFO)
