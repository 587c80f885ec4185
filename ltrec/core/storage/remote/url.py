"""Addresses of remote folders. They hold no credentials: an address is in configs, logs and run folders."""

from __future__ import annotations

import os
import re
from urllib.parse import parse_qsl, urlsplit

from ltrec.core.errors import UserError
from ltrec.core.secrets import masked, speaks_of_secret

_URL = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]+://")  # two letters at least: `c:` is a disk

_PATH_OF_URL = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]+:/")


def is_url(place: str) -> bool:
    """Whether a place is an address, and not a path."""
    return _URL.match(place) is not None


def was_url(path: os.PathLike[str]) -> bool:
    """Whether a path was an address: as a path it has lost one of its slashes."""
    return _PATH_OF_URL.match(os.fspath(path)) is not None


def checked_url(url: str) -> str:
    """An address without the slashes at its end.

    Raises:
        UserError: it holds a user, a password or a key, or names no folder.
    """
    parts = urlsplit(url)
    shown = masked(url)
    if "@" in parts.netloc or any(speaks_of_secret(key) for key, _ in parse_qsl(parts.query, keep_blank_values=True)):
        raise UserError(
            f"{shown} holds credentials, which would be written into logs and run folders; leave them out and use the environment "
            "or the usual files of that service, such as AWS_ACCESS_KEY_ID or ~/.aws/credentials"
        )
    if not parts.netloc and not parts.path.strip("/"):
        raise UserError(f"{shown} names no folder; an address is like s3://bucket/folder")
    return parts._replace(path=parts.path.rstrip("/")).geturl()


def joined(url: str, name: str) -> str:
    """The address of a file below an address, for messages."""
    parts = urlsplit(url)
    return parts._replace(path=f"{parts.path}/{name}").geturl()
