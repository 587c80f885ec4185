"""Sections that come in variants: `model.name` and `objective.name` choose the dataclass, then its keys are the only ones.
`model=gru4rec` is short for `model.name=gru4rec`.

The last name wins, so a command line may switch the loss of an experiment file. Keys that the file wrote for the earlier variant
are then errors, not dropped: a setting that silently does nothing is worse than a message.

A variant may hold a section of variants itself: `gradients.rule.name` chooses among those beneath `gradients.name=stratified`. Its
table comes after that of the section around it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any, TypeVar

from ltrec.config.source import Setting
from ltrec.core.errors import UserError, nearest

T = TypeVar("T")
Tables = Mapping[str, Mapping[str, type]]
"""section -> variant name -> its config dataclass, which has a field `name`. A section inside a variant has a dotted path."""


def spelled_out(settings: Sequence[Setting], tables: Tables) -> list[Setting]:
    """The same settings with `model=gru4rec` as `model.name=gru4rec`."""
    return [
        replace(setting, key=f"{setting.key}.name") if setting.key in tables and isinstance(setting.text, str) else setting
        for setting in settings
    ]


def choose(defaults: T, settings: Sequence[Setting], tables: Tables) -> T:
    """`defaults` with every section of variants set to the variant that the last setting of its name selects.

    Raises:
        UserError: unknown variant, or a key of a variant that is not the chosen one.
    """
    tree = defaults
    for section, table in tables.items():
        owner, _, field = section.rpartition(".")
        around = _at(tree, owner)
        if around is None or field not in _names(type(around)):
            continue  # it belongs to another variant of the section around it, which has refused its keys
        naming = [setting for setting in settings if setting.key == f"{section}.name"]
        for setting in naming:
            _refuse_unknown(setting, table)
        name = naming[-1].text if naming else _at(tree, section).name
        place = naming[-1].where if naming else "by default"
        _refuse_foreign_keys(section, name, place, table, settings)
        if naming:
            tree = with_at(tree, section, table[name]())
    return tree


def _at(tree: Any, path: str) -> Any:
    """The value at a dotted path, or None."""
    for name in path.split(".") if path else []:
        tree = getattr(tree, name, None)
    return tree


def with_at(tree: Any, path: str, value: Any) -> Any:
    """The tree of dataclasses with another value at a dotted path."""
    first, _, rest = path.partition(".")
    return replace(tree, **{first: with_at(getattr(tree, first), rest, value) if rest else value})


def _names(config: type) -> set[str]:
    return {f.name for f in fields(config)}


def _refuse_unknown(setting: Setting, table: Mapping[str, type]) -> None:
    wanted = setting.text
    if not isinstance(wanted, str) or wanted not in table:
        hint = nearest(str(wanted), table)
        raise UserError(f"unknown {setting.key} {wanted!r} {setting.where}{hint}; known: {', '.join(table)}")


def _refuse_foreign_keys(section: str, name: str, place: str, table: Mapping[str, type], settings: Sequence[Setting]) -> None:
    for setting in settings:
        if not setting.key.startswith(f"{section}."):
            continue
        key = setting.key.removeprefix(f"{section}.").partition(".")[0]
        owners = [other for other, config in table.items() if key in _names(config)]
        if owners and name not in owners:
            raise UserError(
                f"{setting.key!r} {setting.where} belongs to {section} {' or '.join(map(repr, owners))}, but {section}.name is"
                f" {name!r} ({place}): take the key out or choose {section}.name={owners[0]}"
            )
