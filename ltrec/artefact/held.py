"""An exported model by its folder or its address in a store."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path

from ltrec.artefact.script.stored import MANIFEST
from ltrec.core.errors import UserError
from ltrec.data.remote.held_folder import held_folder


def held_artefact(place: str | os.PathLike[str]) -> AbstractContextManager[Path]:
    """Its folder; of an address, one in the node's cache, for as long as the context is open.

    Raises:
        UserError: nothing, or a damaged one, is at the address.
    """
    missing = f"is no exported model: it has no {MANIFEST} ('ltrec export RUN --out ...' writes one)"
    return held_folder(place, MANIFEST, _files_of, missing)


def _files_of(text: bytes, address: str) -> Mapping[str, tuple[int, str]]:
    try:
        return {name: (int(file["bytes"]), str(file["sha256"])) for name, file in json.loads(text)["files"].items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        raise UserError(f"{address} is damaged; export the model again") from None
