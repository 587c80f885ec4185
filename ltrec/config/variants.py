"""Sections that come in variants: `model.name` and `objective.name` choose the dataclass, then its keys are the only ones.

The last name wins, so a command line may switch the loss of an experiment file. Keys that the file wrote for the earlier variant
are then errors, not dropped: a setting that silently does nothing is worse than a message.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any, TypeVar

from ltrec.config.source import Setting
from ltrec.core.errors import UserError, nearest

T = TypeVar("T")
Tables = Mapping[str, Mapping[str, type]]
"""section -> variant name -> its config dataclass, which has a field `name`."""


def choose(defaults: T, settings: Sequence[Setting], tables: Tables) -> T:
    """`defaults` with every section of variants set to the variant that the last setting of its name asks for.

    Raises:
        UserError: unknown variant, or a key of a variant that is not the chosen one.
    """
    chosen: dict[str, Any] = {}
    for section, table in tables.items():
        naming = [setting for setting in settings if setting.key == f"{section}.name"]
        for setting in naming:
            _refuse_unknown(setting, table)
        name = naming[-1].text if naming else getattr(defaults, section).name
        place = naming[-1].where if naming else "by default"
        _refuse_foreign_keys(section, name, place, table, settings)
        chosen[section] = table[name]() if naming else getattr(defaults, section)
    return replace(defaults, **chosen)  # type: ignore[type-var]  # T is a dataclass


def _refuse_unknown(setting: Setting, table: Mapping[str, type]) -> None:
    asked = setting.text
    if not isinstance(asked, str) or asked not in table:
        hint = nearest(str(asked), table)
        raise UserError(f"unknown {setting.key} {asked!r} {setting.where}{hint}; known: {', '.join(table)}")


def _refuse_foreign_keys(section: str, name: str, place: str, table: Mapping[str, type], settings: Sequence[Setting]) -> None:
    own = {f.name for f in fields(table[name])}
    for setting in settings:
        head, _, key = setting.key.partition(".")
        if head != section or key in own:
            continue
        owners = [other for other, config in table.items() if key in {f.name for f in fields(config)}]
        if owners:
            raise UserError(
                f"{setting.key!r} {setting.where} belongs to {section} {' or '.join(map(repr, owners))}, but {section}.name is"
                f" {name!r} ({place}): take the key out or choose {section}.name={owners[0]}"
            )
