"""Where the user's cache is."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def user_cache() -> Path:
    """The folder of the user's cache, by the conventions of the platform; it need not exist."""
    if relocated := os.environ.get("XDG_CACHE_HOME"):
        return Path(relocated) / "ltrec"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "ltrec"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local")) / "ltrec"
    return Path.home() / ".cache" / "ltrec"
