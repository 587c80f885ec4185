"""A prepared data set, as `ltrec.prepare` and `ltrec.verify` return it."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ltrec.data.forget.result import Forgotten
from ltrec.data.manifest import Manifest

DISTANCES = ("repeat", "one_link", "two_links", "beyond")
"""Names of distances 0 to 3 of a target from the history."""


@dataclass(frozen=True, slots=True)
class Dataset(os.PathLike[str]):
    """A prepared data set. It is accepted wherever its folder is.

    Attributes:
        path: its folder, or what stands for it on this node if it is in a store.
        name: what it is called.
        digest: identity of its content: two data sets of one digest are the same, wherever they lie.
        up_to_date: it was there already, and nothing had to be done.
        mended: a damaged data set was prepared again.
        manifest: everything that is known of it.
        address: where it is, as it was given: the folder, or s3://bucket/folder.
        forgotten: what was removed, if users were to be forgotten.
    """

    path: Path
    name: str
    digest: str
    up_to_date: bool
    mended: bool = False
    manifest: Manifest = field(kw_only=True, repr=False)
    address: str = field(default="", kw_only=True, repr=False)
    forgotten: Forgotten | None = field(default=None, kw_only=True, repr=False)

    @staticmethod
    def of(
        path: Path,
        manifest: Manifest,
        *,
        up_to_date: bool,
        mended: bool = False,
        address: str = "",
        forgotten: Forgotten | None = None,
    ) -> Dataset:
        """The data set in a folder, which stands for an address if there is one."""
        place = address or str(path)
        return Dataset(
            path, manifest.name, manifest.digest, up_to_date, mended, manifest=manifest, address=place, forgotten=forgotten
        )

    def __fspath__(self) -> str:
        """The folder or address."""
        return self.address

    def to_dict(self) -> dict[str, Any]:
        """JSON values; the keys are in `ltrec.api`."""
        manifest = self.manifest
        s, strata = manifest.summary, manifest.strata
        reach = [dict(zip(DISTANCES, row, strict=True)) for row in s["reach"]["valid"]] if "reach" in s else [None] * strata.count
        rows = zip(strata.names(), strata.users, manifest.trainable_K, strata.events, reach, strict=True)
        return {
            "data": self.address,
            "name": self.name,
            "digest": self.digest,
            "up_to_date": self.up_to_date,
            "rows": s["rows"],
            "rejected": s["rejected"],
            "duplicates": s["duplicates"],
            "filtered": s["filtered_events"],
            "events": s["events"],
            "train_events": s["train_events"],
            "users": s["users"],
            "items": s["items"],
            "head_from": strata.head_from,
            "columns": [{"name": column.name, "kind": column.kind, "of": column.role} for column in manifest.columns],
            "strata": [{"name": name, "users": u, "trainable": t, "events": e, "reach": r} for name, u, t, e, r in rows],
            **({} if self.forgotten is None else {"forgotten": self.forgotten.to_dict()}),
        }
