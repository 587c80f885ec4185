"""The options of the parent, which hold for the day as well."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from ltrec.columns.kinds import COLUMN_KINDS, ColumnConfig
from ltrec.columns.schema import Schema
from ltrec.core.errors import UserError
from ltrec.data.manifest import Manifest
from ltrec.data.prepare.config import FOR_COLUMNS, RECORDED_AS, WITHOUT_EFFECT, PrepareConfig
from ltrec.data.prepare.table_config import ItemsConfig, UsersConfig
from ltrec.data.prepare.times.columns import PER_SECOND

_OF_DAY = ("reject_budget",)
"""Options that may be others for the day."""


def options_of_day(config: PrepareConfig, manifest: Manifest, place: Path) -> PrepareConfig:
    """The config with the options that the parent was prepared with, and what `auto` meant there. What is not given is the
    parent's; where the day's tables of items and users are, the config says.

    Args:
        config: as it was given.
        manifest: of the parent.
        place: of the parent, for messages.

    Raises:
        UserError: an option was given that differs, or append does not run in this engine.
    """
    if config.engine != "duckdb":
        raise UserError(
            f"--append runs in duckdb, not in engine={config.engine}; a data set that Spark prepared can be appended to"
        )
    own, plain = _plain(config), _plain(PrepareConfig())
    theirs = {**{key: plain[key] for key in FOR_COLUMNS}, **manifest.options}
    taken: dict[str, Any] = {}
    for key, value in own.items():
        recorded = RECORDED_AS.get(key, key)
        if recorded in theirs:
            if value not in (plain[key], theirs[recorded]) and key not in _OF_DAY:
                raise UserError(
                    f"{place} was prepared with `{key}`={theirs[recorded]!r}, not {value!r}; leave the option out: "
                    "a day is read as its parent was"
                )
            if key in _OF_DAY and value != plain[key]:
                continue
            taken[key] = _typed(key, theirs[recorded], config, manifest.columns)
    unit, ties = manifest.source["time_unit"], manifest.summary["ties"]["rule"]
    resolved = {"duplicates": manifest.summary["duplicate_rule"], "ties": ties}
    if not taken["time_format"] and unit in (*PER_SECOND, "iso", "order"):
        resolved["time_unit"] = unit
    return replace(config, **{**taken, **resolved})


def refuse_other_time(found: str, manifest: Manifest) -> None:
    """Compare the form of the day's times with the parent's.

    Raises:
        UserError: they differ.
    """
    if found != (before := manifest.source["time_unit"]):
        raise UserError(f"the times of the day are in the form {found}, those before in {before}; set `time_format` for both")


def _plain(config: PrepareConfig) -> dict[str, Any]:
    """Options as JSON has them, without those that are nobody's identity."""
    left_out = {"name", *WITHOUT_EFFECT}
    found: dict[str, Any] = json.loads(json.dumps({key: value for key, value in asdict(config).items() if key not in left_out}))
    for table in ("items", "users"):
        del found[table]["source"]
    return found


def _typed(key: str, recorded: Any, config: PrepareConfig, columns: Schema) -> Any:
    """An option as the config has it; `columns` are those of the parent, whose order JSON has not kept."""
    if key == "event_columns":
        return _columns(recorded, columns.of("event"))
    if key == "items":
        return ItemsConfig(config.items.source, recorded["id"], _columns(recorded["columns"], columns.of("item")))
    if key == "users":
        return UsersConfig(config.users.source, recorded["id"], _columns(recorded["columns"], columns.of("user")))
    if key == "targets":
        return {name: tuple(values) for name, values in recorded.items()}
    return tuple(recorded) if isinstance(recorded, list) else recorded


def _columns(recorded: Mapping[str, Any], order: Iterable[str]) -> dict[str, ColumnConfig]:
    return {name: COLUMN_KINDS[recorded[name]["kind"]].config(**recorded[name]) for name in order}
