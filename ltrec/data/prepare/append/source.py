"""The input of a grown data set in its manifest: all source files, and its parent as the last entry of the lineage."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ltrec.core.errors import UserError
from ltrec.data.manifest import Manifest
from ltrec.data.prepare.append.parent import Parent
from ltrec.data.prepare.columns.earlier import sizes_of
from ltrec.data.prepare.columns.side_tables import SideTables
from ltrec.data.prepare.readers.sources import InputFile, describe


def grown_source(parent: Parent, found: list[InputFile], side_tables: SideTables, *, recut: bool) -> dict[str, Any]:
    """The input.

    Args:
        parent: what is appended to.
        found: files of the day's log.
        side_tables: files of the day's tables, which may be the parent's.
        recut: whether thresholds are cut anew.

    Raises:
        UserError: a file of the log is one of the parent's.
    """
    before, files = parent.manifest.source, describe(found, lambda _: None)
    known = {file["sha256"]: file["path"] for file in before["files"]}
    if again := next((file for file in files if file["sha256"] in known), None):
        raise UserError(f"{again['path']} is in {parent.folder} already, as {known[again['sha256']]}; its events would count twice")
    step = {"digest": parent.manifest.digest, "items": parent.manifest.vocab.items, "files": len(before["files"])}
    step |= {"columns": sizes_of(parent.manifest)} if parent.manifest.columns else {}
    step |= {"recut": True} if recut else {}
    grown = {**before, "files": [*before["files"], *files], "lineage": [*parent.manifest.lineage, step]}
    if tables := before.get("tables"):
        of_day = side_tables.described().get("tables", {})
        grown["tables"] = {role: _joined(list(tables[role]), of_day.get(role, [])) for role in tables}
    return grown


def refuse_other(old: Manifest, name: str, source: dict[str, Any], out: Path, *, reach: bool) -> None:
    """Refuse a data set in `out` that is not the one with this name and input, with or without the `reach` of targets.

    Raises:
        UserError: it is another one.
    """
    if old.name != name:
        raise UserError(f"{out} holds the data set {old.name!r}; use --overwrite to replace it with {name!r}")
    if not old.lineage or old.lineage[-1]["digest"] != source["lineage"][-1]["digest"]:
        raise UserError(f"{out} was not made by appending to this data set; use --overwrite to replace it")
    if ("recut" in old.lineage[-1]) != ("recut" in source["lineage"][-1]):
        how = "with" if "recut" in old.lineage[-1] else "without"
        raise UserError(f"{out} was made {how} --recut; use --overwrite to replace it")
    if ("reach" in old.summary) != reach:
        raise UserError(f"{out} was made {'without' if reach else 'with'} --reach; use --overwrite to replace it")
    if (list(old.source["files"]), old.source.get("tables")) != (source["files"], source.get("tables")):
        raise UserError(f"{out} was appended from other source files; use --overwrite to replace it")


def _joined(before: list[dict[str, Any]], files: list[dict[str, Any]]) -> list[dict[str, Any]]:
    known = {file["sha256"] for file in before}
    return [*before, *(file for file in files if file["sha256"] not in known)]
