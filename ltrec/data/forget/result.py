"""What was forgotten, and the eviction of its bytes from this node's cache."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from ltrec.core.counting import counted
from ltrec.data.manifest import Manifest


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What was done.

    Attributes:
        manifest: of the data set as it is now.
        before: as it was; the same object if nothing had to be done.
        users: who were found, and are gone.
        events: their stored events.
        unknown: ids that the data set does not have.
    """

    manifest: Manifest
    before: Manifest
    users: int
    events: int
    unknown: int

    def to_dict(self) -> dict[str, int | str]:
        """JSON values."""
        return {"users": self.users, "events": self.events, "unknown": self.unknown, "before": self.before.digest}

    def line(self) -> str:
        """One line for people."""
        unknown = f"; {counted(self.unknown, 'id')} of the file not in the data set" if self.unknown else ""
        if self.manifest is self.before:
            return f"nothing to forget{unknown}"
        old = {shard.path for shard in self.before.shards}
        written = sum(shard.path not in old for shard in self.manifest.shards)
        return (
            f"forgot {counted(self.users, 'user')} with {counted(self.events, 'event')}: {written:,} of "
            f"{counted(len(old), 'shard')} written anew{unknown}"
        )

    def evict(self, cache: Path) -> int:
        """Remove files that are no more part of the data set from the cache of a node; their number."""
        now = {sha256 for _, sha256 in self.manifest.files().values()}
        stale = {sha256 for _, sha256 in self.before.files().values()} - now
        held = [path for sha256 in sorted(stale) if (path := cache / "files" / sha256).exists()]
        for path in held:
            path.unlink(missing_ok=True)
        if self.before is not self.manifest:
            shutil.rmtree(cache / "sets" / self.before.digest, ignore_errors=True)
        return len(held)
